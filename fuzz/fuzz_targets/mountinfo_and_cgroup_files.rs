#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pinfold::fuzzing::mountinfo_and_cgroup_files(data));
