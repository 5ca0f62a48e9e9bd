//! draw: shapes -> SVG. Attributes only: no style sheet, no script, nothing from elsewhere, so that
//! it is shown under any content policy, in mails and wikis too.

use std::fmt::Write;

use super::canvas::{Anchor, Point, Shape};
use super::layout::Picture;
use super::palette::Paint;

const FONTS: &str = "Inter,'Segoe UI',Roboto,'Helvetica Neue',Arial,'Liberation Sans',sans-serif";

/// The picture as a whole document.
pub fn svg(picture: &Picture) -> String {
    let mut out = String::with_capacity(32 << 10);
    let (w, h) = (picture.width, picture.height);
    let _infallible = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" \
         viewBox=\"0 0 {w} {h}\" role=\"img\" font-family=\"{FONTS}\">\n<title>"
    );
    escape(&mut out, &picture.title);
    out.push_str("</title>\n<desc>");
    escape(&mut out, &picture.description);
    out.push_str("</desc>\n<rect width=\"100%\" height=\"100%\"");
    fill(&mut out, picture.background);
    out.push_str("/>\n");
    for shape in &picture.shapes {
        write_shape(&mut out, shape);
    }
    out.push_str("</svg>\n");
    out
}

fn write_shape(out: &mut String, shape: &Shape) {
    match shape {
        Shape::Rect { at, size, radius, paint } => {
            out.push_str("<rect");
            for (name, value) in
                [("x", at.0), ("y", at.1), ("width", size.0), ("height", size.1), ("rx", *radius)]
            {
                attribute(out, name, value);
            }
            fill(out, *paint);
            out.push_str("/>\n");
        }
        Shape::Stroke { points, width, dashes, paint } => {
            out.push_str("<path d=\"");
            path(out, points.iter(), true);
            out.push_str("\" fill=\"none\" stroke-linejoin=\"round\"");
            colour(out, "stroke", *paint);
            attribute(out, "stroke-width", *width);
            if let Some([on, off]) = dashes {
                let _infallible = write!(out, " stroke-dasharray=\"{on} {off}\"");
            }
            out.push_str("/>\n");
        }
        Shape::Area { upper, lower, paint } => {
            out.push_str("<path d=\"");
            path(out, upper.iter(), true);
            path(out, lower.iter().rev(), false);
            out.push_str("Z\"");
            fill(out, *paint);
            out.push_str("/>\n");
        }
        Shape::Text(text) => {
            out.push_str("<text");
            attribute(out, "x", text.at.0);
            attribute(out, "y", text.at.1);
            attribute(out, "font-size", text.size);
            match text.anchor {
                Anchor::Start => {}
                Anchor::Middle => out.push_str(" text-anchor=\"middle\""),
                Anchor::End => out.push_str(" text-anchor=\"end\""),
            }
            if text.bold {
                out.push_str(" font-weight=\"600\"");
            }
            fill(out, text.paint);
            out.push('>');
            escape(out, &text.text);
            out.push_str("</text>\n");
        }
    }
}

fn path<'a>(out: &mut String, points: impl Iterator<Item = &'a Point>, begins: bool) {
    let mut last = (i64::MIN, i64::MIN);
    for (i, (x, y)) in points.enumerate() {
        let at = (tenths(*x), tenths(*y));
        // After `M` a pair is a line.
        match (i, begins) {
            (0, true) => out.push('M'),
            (0, false) => out.push('L'),
            _ if at == last => continue,
            _ => out.push(' '),
        }
        write_tenths(out, at.0);
        if at.1 >= 0 {
            out.push(' ');
        }
        write_tenths(out, at.1);
        last = at;
    }
}

fn tenths(value: f32) -> i64 {
    (value * 10.0).round() as i64
}

/// A year has thousands of these: by hand, it is four times as fast as the formatter.
fn write_tenths(out: &mut String, tenths: i64) {
    if tenths < 0 {
        out.push('-');
    }
    let tenths = tenths.unsigned_abs();
    let (mut whole, part) = (tenths / 10, tenths % 10);
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (whole % 10) as u8;
        whole /= 10;
        if whole == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|d| char::from(*d)));
    if part > 0 {
        out.push('.');
        out.push(char::from(b'0' + part as u8));
    }
}

fn attribute(out: &mut String, name: &str, value: f32) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    write_tenths(out, tenths(value));
    out.push('"');
}

fn colour(out: &mut String, name: &str, paint: Paint) {
    let [r, g, b] = paint.rgb;
    let _infallible = write!(out, " {name}=\"#{r:02x}{g:02x}{b:02x}\"");
    if paint.alpha < 255 {
        let _infallible = write!(out, " {name}-opacity=\"{:.2}\"", f32::from(paint.alpha) / 255.0);
    }
}

fn fill(out: &mut String, paint: Paint) {
    colour(out, "fill", paint);
}

/// Escapes a text between tags. Characters that XML cannot hold were removed before.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_place_at_most() {
        for (value, text) in
            [(0.0, "0"), (-0.04, "0"), (12.34, "12.3"), (-3.96, "-4"), (-0.5, "-0.5")]
        {
            let mut out = String::new();
            write_tenths(&mut out, tenths(value));
            assert_eq!(out, text);
        }
    }
}
