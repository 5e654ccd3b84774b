//! Owns: the conformance cases of `tests/cases`, through the library.
//! Must not: know what a case is about.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use pinfold_tests::conformance::{Case, Verb, cases, file_names, run, run_settled};
use pinfold_tests::{Leaks, is_root, makes_standing_namespaces, scratch};
use serde_json::Value;

#[test]
fn the_library_conforms() {
    let _leaks = Leaks::watch();
    let (mut ran, mut wrong) = (0, Vec::new());
    for case in cases().iter().filter(|case| case.fits(is_root())) {
        let mut check = |run: fn(&Case, &Path) -> Value, when: &str| {
            let directory = scratch();
            case.lay_out(directory.path());
            let result = run(case, directory.path());
            let differences = case.check(&result);
            if !differences.is_empty() {
                wrong.push(format!("{}{when}\n{differences}  whole: {result}\n", case.name));
            }
        };
        check(run, "");
        if makes_standing_namespaces() && case.verb() == Verb::Run {
            check(run_settled, ", later starts");
        }
        ran += 1;
    }
    assert!(wrong.is_empty(), "{} of {ran} cases differ:\n{}", wrong.len(), wrong.concat());
    println!("{ran} cases");
}

#[test]
fn cases_have_names_of_their_own_and_can_fail() {
    let _leaks = Leaks::watch();
    let mut names = BTreeSet::new();
    for case in cases() {
        assert!(names.insert(case.name.clone()), "{} is there twice", case.name);
        // A case that is compared with a result that nothing can have must differ.
        assert!(!case.check(&serde_json::json!({})).is_empty(), "{} fits anything", case.name);
    }
}

/// Only where the checkout can be read: scripts/test copies this program for other users.
#[test]
fn every_file_of_cases_is_built_in() {
    let _leaks = Leaks::watch();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let Ok(entries) = fs::read_dir(directory) else { return };
    let there: BTreeSet<String> = entries
        .filter_map(|entry| {
            entry.expect("an entry").file_name().into_string().ok()?.strip_suffix(".toml").map(str::to_owned)
        })
        .collect();
    assert_eq!(there, file_names().map(str::to_owned).collect());
}
