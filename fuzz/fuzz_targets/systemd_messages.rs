#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pinfold::fuzzing::systemd_messages(data));
