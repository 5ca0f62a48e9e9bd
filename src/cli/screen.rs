//! cli: what the terminal can do: how wide it is, whether it has colours and more than ASCII.

use crate::draw::spark;

/// Letters across; 80 where there is no terminal.
pub(super) fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(80, |w| match w.ws_col {
        // A terminal that does not say.
        0 => 80,
        columns => usize::from(columns).max(40),
    })
}

/// See no-color.org; a terminal that calls itself dumb has none either.
pub(super) fn has_colours() -> bool {
    let said = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    !said("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Whether letters may be more than ASCII, by what the environment says.
pub(super) fn is_unicode() -> bool {
    let words = ["LC_ALL", "LC_CTYPE", "LANG"].map(|name| std::env::var(name).ok());
    spark::is_unicode(words.each_ref().map(Option::as_deref))
}
