//! Owns: the arithmetic between what a config says and what the kernel's files take.
//! Must not: touch the system.

/// The length of a period of the CPU quota in microseconds: the kernel's default.
pub(super) const PERIOD: u64 = 100_000;

/// CPUs' worth of time -> microseconds per period. The kernel takes no less than a millisecond.
pub(super) fn quota(cpus: f64) -> i64 {
    // At most 65536 CPUs (validate): far below 2^53.
    (cpus * PERIOD as f64).round().max(1000.0) as i64
}

/// A CPU weight of v2 (1, default 100, 10000) -> shares of v1 (2, default 1024, 262144).
///
/// A straight line through the ends would make 39 of the default. In logarithms, a parabola goes through all three
/// points: with l = log2(shares) and w = log10(weight), (l^2 + 125 l) / 612 - 7/34 = w at (1, 0), (10, 2) and (18, 4).
pub(super) fn shares(weight: u64) -> u64 {
    let w = (weight.max(1) as f64).log10();
    let l = (-125.0 + (125.0f64.powi(2) + 4.0 * 612.0 * (w + 7.0 / 34.0)).sqrt()) / 2.0;
    (l.exp2().round() as u64).clamp(2, 262_144)
}

/// An I/O weight (1, default 100, 10000) -> one of bfq (1, default 100, 1000).
pub(super) fn bfq_weight(weight: u64) -> u64 {
    match weight {
        0..=100 => weight.max(1),
        _ => (100 + (weight - 100) * 900 / 9900).min(1000),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ends_and_defaults_stand_for_each_other() {
        assert_eq!([1, 100, 10_000].map(shares), [2, 1024, 262_144]);
        assert_eq!([1, 100, 10_000].map(bfq_weight), [1, 100, 1000]);
        assert_eq!([0.5, 2.0, 0.01, 0.001].map(quota), [50_000, 200_000, 1000, 1000]);
    }

    proptest! {
        #[test]
        fn more_weight_is_never_less(weight in 1u64..10_000) {
            prop_assert!(shares(weight) <= shares(weight + 1));
            prop_assert!(bfq_weight(weight) <= bfq_weight(weight + 1));
        }
    }
}
