//! wire: any bytes as a message of remote write, of either version.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::wire::remote_write::{Request, Version};

fuzz_target!(|data: &[u8]| {
    for version in [Version::V1, Version::V2] {
        let Ok(mut request) = Request::new(version, data) else { continue };
        let _any = request.metadata(|_, _, _, _| {});
        let (mut alias, mut turns) = (Vec::new(), 0);
        while let Some(Ok(series)) = request.next_series() {
            alias.clear();
            let _any = (series.alias(&mut alias), series.labels(), series.metadata());
            assert!(series.samples().count() <= data.len());
            turns += 1;
            assert!(turns <= data.len(), "it ends");
        }
    }
});
