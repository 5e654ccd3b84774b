use std::fs;
use std::path::Path;

use super::TARGETS;

/// Seeds, what fuzzing has kept, and every finding so far.
#[test]
fn corpora_are_replayed() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    // The packaged crate has none.
    if !fuzz.exists() {
        return;
    }
    for (name, target) in TARGETS {
        let mut inputs = 0;
        for kind in ["seeds", "corpus", "findings"] {
            let Ok(entries) = fs::read_dir(fuzz.join(kind).join(name)) else { continue };
            for entry in entries {
                let path = entry.expect("an entry").path();
                let bytes = fs::read(&path).expect("an input");
                println!("{}", path.display());
                target(&bytes);
                inputs += 1;
            }
        }
        assert!(inputs > 0, "{name} has no seeds");
    }
}

/// Every target takes anything.
#[test]
fn targets_take_short_and_random_bytes() {
    let mut state = 1_u64;
    for (_, target) in TARGETS {
        target(&[]);
        for length in [1, 2, 7, 64, 300] {
            let bytes: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            target(&bytes);
        }
    }
}
