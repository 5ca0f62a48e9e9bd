//! overview: the unit that the words at an axis name, such as a Munin plugin writes them.

/// The unit for the words of a plugin's axis; other words have none.
pub(super) fn axis_unit(axis: &str, rate: bool) -> &'static str {
    let axis = axis.trim().to_ascii_lowercase();
    let whole = axis.split_whitespace().next().unwrap_or_default();
    let last = axis.split_whitespace().last().unwrap_or_default();
    let each = rate || axis.contains("per second") || axis.contains("/s");
    match (whole.trim_end_matches("/second").trim_end_matches("/s"), each) {
        ("%" | "percent", _) => "percent",
        ("bytes" | "byte" | "b", false) => "bytes",
        ("bytes" | "byte" | "b", true) => "bytes/s",
        ("bits" | "bit", true) => "bits/s",
        ("seconds" | "second" | "sec" | "s", false) => "seconds",
        ("c" | "celsius" | "°c", _) => "celsius",
        _ if axis == "degrees celsius" => "celsius",
        _ if !each && last == "(seconds)" => "seconds",
        _ if last == "days" => "days",
        _ => "",
    }
}

/// The unit of the series of a field, by its chart's axis; `rate`: it is a counter. A chart in bits is
/// mostly made of a counter of bytes, so the unit of its series is not known.
pub(super) fn unit_of_field(axis: &str, rate: bool) -> &'static str {
    match axis_unit(axis, rate) {
        "bits/s" | "" if rate => "/s",
        "bits/s" => "",
        word => word,
    }
}
