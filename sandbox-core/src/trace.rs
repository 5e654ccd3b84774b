//! Owns: what a subscriber of `tracing` is told, with the feature of that name: events under the target `pinfold`. Nothing without it.
//! Must not: say what a payload was given: arguments, environment and paths may be secret.

#[cfg(feature = "tracing")]
mod told {
    use crate::Error;
    use crate::outcome::Outcome;
    use crate::settle::Report;

    const TARGET: &str = "pinfold";

    /// A sandbox was settled. What it was weakened by is a warning each.
    pub fn settled(report: &Report) {
        tracing::debug!(target: TARGET, enforced = report.enforced.len(), "sandbox settled");
        for weakened in &report.degradations {
            let (feature, wanted, got) = (&*weakened.feature, &*weakened.wanted, &*weakened.got);
            tracing::warn!(target: TARGET, feature, wanted, got, "sandbox weakened");
        }
    }

    /// A payload was executed. Where its end alone is waited for, only that is told.
    pub fn started(in_session: bool) {
        tracing::debug!(target: TARGET, in_session, "payload started");
    }

    /// It was not, or its end is not known.
    pub fn failed(error: &Error) {
        let report = error.report();
        let (kind, stage) = (error.kind().as_str(), tracing::field::debug(report.stage));
        tracing::debug!(target: TARGET, kind, stage, errno = error.errno(), "payload failed");
    }

    /// A payload has ended.
    pub fn ended(outcome: &Outcome) {
        let (ended, exit_code, signal) = (outcome.ended().as_str(), outcome.code(), outcome.signal());
        let duration_us = u64::try_from(outcome.duration().as_micros()).unwrap_or(u64::MAX);
        tracing::debug!(target: TARGET, ended, exit_code, signal, duration_us, "payload ended");
    }
}

#[cfg(not(feature = "tracing"))]
mod told {
    use crate::Error;
    use crate::outcome::Outcome;
    use crate::settle::Report;

    pub fn settled(_: &Report) {}
    pub fn started(_in_session: bool) {}
    pub fn failed(_: &Error) {}
    pub fn ended(_: &Outcome) {}
}

pub(crate) use told::{ended, failed, settled, started};
