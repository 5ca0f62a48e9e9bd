//! wire: any bytes as the output of a plugin, as plugin-conf.d, as a cdef, as a check of Nagios, and
//! as what a simple plugin prints.

use plimsoll::wire::munin::{Cdef, Described, SettingsFile, clean_field, lines};
use plimsoll::wire::{nagios, simple};

pub fn run(data: &[u8]) {
    for (_, line) in lines(data) {
        let _unused = line;
    }
    let config = Described::read("plugin", data);
    for graph in &config.graphs {
        for field in &graph.fields {
            assert_eq!(clean_field(&field.name), field.name);
        }
        assert_eq!(graph.graph("plugin").fields.len(), graph.fields.len());
    }
    let text = String::from_utf8_lossy(data);
    let mut file = SettingsFile::default();
    file.read(&text);
    file.of("plugin");
    if let Ok(cdef) = Cdef::parse(&text) {
        cdef.eval(|_| 1.0);
        cdef.promql(|field| Some(field.to_owned()));
    }
    let check = nagios::read(data);
    assert!(check.data.len() + check.faults.len() <= data.len());
    simple::pairs(data, |key, _| assert!(!key.is_empty()), |_, _| ());
    let _unused = simple::object(data, |key, _| assert!(!key.is_empty()));
}
