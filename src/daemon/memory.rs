//! daemon: giving memory back. At rest, most of plimsoll's memory is mapped program text, and most
//! of that ran once: while starting, or while sealing. Unmapping it costs a few page faults.
#![allow(unsafe_code, reason = "malloc_trim and madvise have no safe wrapper")]

/// Hands free heap pages back to the kernel and unmaps program text and constants, those of the
/// libraries too. Parts that are needed are mapped again from the page cache when they are reached.
pub fn give_back() {
    // SAFETY: takes a number and touches only free memory.
    unsafe { libc::malloc_trim(0) };
    let Ok(maps) = std::fs::read("/proc/self/maps") else { return };
    for (start, end) in unwritten(&String::from_utf8_lossy(&maps)) {
        // SAFETY: the range is a private mapping of a file that was never written to (see
        // `unwritten`), so every page can be read again as it was.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

/// The mappings of files that cannot have been changed in memory, in the text of /proc/PID/maps
/// (proc_pid_maps(5)): executable ones, as there are no text relocations, and the constants that a
/// linker lays down right before them. What lies behind the text may be read-only now but was
/// written by the loader.
fn unwritten(maps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut before: Option<(&str, usize, usize)> = None;
    for line in maps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(range), Some(mode)) = (words.next(), words.next()) else { continue };
        let file = words.nth(3).filter(|f| f.starts_with('/'));
        let number = |hex| usize::from_str_radix(hex, 16).ok();
        let ends = range.split_once('-').and_then(|(a, b)| number(a).zip(number(b)));
        let (Some(file), Some((start, end))) = (file, ends) else { continue };
        match mode {
            "r--p" => before = Some((file, start, end)),
            "r-xp" => {
                found
                    .extend(before.filter(|b| b.0 == file && b.2 == start).map(|(_, s, e)| (s, e)));
                found.push((start, end));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_loader_did_not_write() {
        let maps = "1000-2000 r--p 00000000 fe:00 53 /bin/plimsoll\n\
                    2000-9000 r-xp 00001000 fe:00 53 /bin/plimsoll\n\
                    9000-a000 r--p 00008000 fe:00 53 /bin/plimsoll\n\
                    a000-b000 rw-p 00009000 fe:00 53 /bin/plimsoll\n\
                    b000-c000 r--p 00000000 fe:00 54 /lib/libc.so.6\n\
                    d000-e000 r-xp 00001000 fe:00 54 /lib/libc.so.6\n\
                    e000-f000 r-xp 00000000 00:00 0  [vdso]\n\
                    f000-f100 rw-p 00000000 00:00 0 \n";
        assert_eq!(unwritten(maps), [(0x1000, 0x2000), (0x2000, 0x9000), (0xd000, 0xe000)]);
        assert!(unwritten("").is_empty());
    }

    #[test]
    fn the_program_goes_on_afterwards() {
        let before = std::env::var("PATH");
        give_back();
        assert_eq!(std::env::var("PATH"), before);
    }
}
