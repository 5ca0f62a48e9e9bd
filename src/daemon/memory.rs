//! daemon: giving memory back. At rest, most of plimsoll's memory is mapped program text, and most
//! of that ran once: while starting, or while sealing. Unmapping it costs a few page faults.
#![allow(unsafe_code, reason = "malloc_trim and madvise have no safe wrapper")]

/// Hands free heap pages back to the kernel and unmaps the program's text; what is still needed is
/// mapped again, from the page cache, as it is reached.
pub fn give_back() {
    // SAFETY: takes a number and touches only free memory.
    unsafe { libc::malloc_trim(0) };
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    let Ok(exe) = std::fs::read_link("/proc/self/exe") else { return };
    let Some((start, end)) = text(&maps, &exe.to_string_lossy()) else { return };
    // SAFETY: the range is a mapping of a file, private, and never written to (it is executable and
    // not writable; there are no text relocations), so every page can be read again as it was.
    unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
}

/// The program's executable mapping in the text of /proc/PID/maps (proc_pid_maps(5)).
fn text(maps: &str, exe: &str) -> Option<(usize, usize)> {
    let line = maps.lines().find(|l| l.contains(" r-xp ") && l.ends_with(exe))?;
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    let number = |hex| usize::from_str_radix(hex, 16).ok();
    number(start).zip(number(end)).filter(|(start, end)| start < end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_program_s_own_text() {
        let maps = "1000-2000 r--p 00000000 fe:00 53 /bin/plimsoll\n\
                    2000-9000 r-xp 00001000 fe:00 53 /bin/plimsoll\n\
                    a000-b000 r-xp 00000000 fe:00 54 /lib/libc.so.6\n\
                    c000-d000 rw-p 00000000 00:00 0 \n";
        assert_eq!(text(maps, "/bin/plimsoll"), Some((0x2000, 0x9000)));
        assert_eq!(text(maps, "/bin/other"), None);
        assert_eq!(text("", "/bin/plimsoll"), None);
    }

    #[test]
    fn the_program_goes_on_afterwards() {
        give_back();
        assert_eq!(text("x", "y"), None);
    }
}
