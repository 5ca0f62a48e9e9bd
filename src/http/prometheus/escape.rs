//! http: names in paths. A path takes no `/` and no dot segments, so Prometheus 3 writes every label
//! name that is not a plain one with its other characters as code points: `U__disk_2e_used`. Pure.

/// The name that was meant; other names are returned unchanged.
pub(super) fn unescaped(name: &str) -> String {
    name.strip_prefix("U__").and_then(decoded).unwrap_or_else(|| name.to_owned())
}

fn decoded(mut rest: &str) -> Option<String> {
    let mut out = String::with_capacity(rest.len());
    while let Some((plain, after)) = rest.split_once('_') {
        out.push_str(plain);
        match after.strip_prefix('_') {
            Some(after) => {
                out.push('_');
                rest = after;
            }
            None => {
                let (digits, after) = after.split_once('_')?;
                // Six are enough for every character there is.
                let fits = (1..=6).contains(&digits.len())
                    && digits.bytes().all(|b| b.is_ascii_hexdigit());
                let point = u32::from_str_radix(digits, 16).ok().filter(|_| fits)?;
                out.push(char::from_u32(point)?);
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn as_clients_write_them() {
        for (written, meant) in [
            ("U__disk_2e_used", "disk.used"),
            ("U__a__b", "a_b"),
            ("U___2f_", "/"),
            ("U__caf_e9_", "café"),
            ("U___1f600_", "😀"),
            ("U__mount__point", "mount_point"),
            ("U__", ""),
            ("job", "job"),
            ("U_job", "U_job"),
        ] {
            assert_eq!(unescaped(written), meant, "{written}");
        }
        for odd in ["U__a_", "U__a_zz_", "U__a_d800_", "U__a_1234567_", "U__a_+1_", "U___"] {
            assert_eq!(unescaped(odd), odd);
        }
    }
}
