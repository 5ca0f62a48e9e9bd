//! draw: letters: how wide a text gets, cutting it to a width, and their outlines. The two fonts are
//! small parts of Inter, under the Open Font License (src/draw/font/OFL.txt).

use std::sync::OnceLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont};

static REGULAR: &[u8] = include_bytes!("font/inter-regular.otf");
static BOLD: &[u8] = include_bytes!("font/inter-semibold.otf");

/// The built-in font; `None` if it cannot be read, which a test excludes.
pub(super) fn font(bold: bool) -> Option<&'static FontRef<'static>> {
    static FONTS: OnceLock<[Option<FontRef<'static>>; 2]> = OnceLock::new();
    let fonts =
        FONTS.get_or_init(|| [REGULAR, BOLD].map(|bytes| FontRef::try_from_slice(bytes).ok()));
    fonts[usize::from(bold)].as_ref()
}

/// Letters of `size` pixels an em: the font's own scale counts ascent and descent too.
pub(super) fn scale(font: &impl Font, size: f32) -> PxScale {
    let units = font.units_per_em().unwrap_or(1000.0);
    PxScale::from(size * font.height_unscaled() / units)
}

/// The letter of the font, or the sign for one that is not in it.
pub(super) fn glyph(font: &impl Font, letter: char) -> GlyphId {
    match font.glyph_id(letter) {
        GlyphId(0) => font.glyph_id('□'),
        known => known,
    }
}

/// How wide a text gets, in pixels.
pub(super) fn width(text: &str, size: f32, bold: bool) -> f32 {
    let Some(font) = font(bold) else { return size * 0.6 * text.chars().count() as f32 };
    let scaled = font.as_scaled(scale(font, size));
    text.chars().map(|c| scaled.h_advance(glyph(font, c))).sum()
}

/// A text that is safe to show: on one line, and without characters that control a terminal or
/// change the writing direction.
pub fn clean(text: &str) -> String {
    let steers = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// The text, or as much of its beginning and end as fits, because the end often distinguishes
/// names.
pub(super) fn cut(text: &str, most: f32, size: f32, bold: bool) -> String {
    cut_by(text, |part| width(part, size, bold) <= most)
}

/// Cuts a text to this many letters, for a terminal.
pub fn cut_letters(text: &str, most: usize) -> String {
    cut_by(text, |part| unicode_width::UnicodeWidthStr::width(part) <= most)
}

/// Cuts a text until it fits by any measure.
pub(super) fn cut_by(text: &str, fits: impl Fn(&str) -> bool) -> String {
    if fits(text) {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let cut = |left: usize| -> String {
        let end = left / 3;
        let tail = &letters[letters.len() - end..];
        letters[..left - end].iter().chain(&['…']).chain(tail).collect()
    };
    let (mut least, mut most) = (0, letters.len().saturating_sub(1));
    while least < most {
        let middle = (least + most).div_ceil(2);
        if fits(&cut(middle)) { least = middle } else { most = middle - 1 }
    }
    cut(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fonts_are_there_and_digits_are_of_one_width() {
        for bold in [false, true] {
            assert!(font(bold).is_some());
            let widths: Vec<f32> =
                "0123456789".chars().map(|c| width(&c.to_string(), 12.0, bold)).collect();
            assert!(widths.iter().all(|w| (w - widths[0]).abs() < 0.05), "{widths:?}");
            assert!(width("Wm", 12.0, bold) > width("il", 12.0, bold) * 2.0);
        }
        // An em of Inter's capitals: 12 px letters are 12 px letters.
        assert!((width("0", 12.0, false) - 12.0 * 1824.0 / 2816.0).abs() < 0.1);
    }

    #[test]
    fn a_cut_text_fits_and_keeps_both_ends() {
        let long = "node_filesystem_avail_bytes{mountpoint=\"/var/lib/postgresql/14/main\"}";
        let short = cut(long, 200.0, 12.0, false);
        assert!(width(&short, 12.0, false) <= 200.0 && short.contains('…'), "{short}");
        assert!(short.starts_with("node_") && short.ends_with("in\"}"), "{short}");
        assert_eq!(cut("cpu", 200.0, 12.0, false), "cpu");
        assert_eq!(cut("cpu", 0.0, 12.0, false), "…");
    }

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(clean("a\x1b[31mb\nc\u{202e}d"), "a\u{fffd}[31mb\u{fffd}c\u{fffd}d");
    }
}
