#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (system_tests::parsers::named("modbus").feed)(input);
});
