//! draw: colours: light and dark, and eight for lines that the colour-blind tell apart.

/// Light or dark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Theme {
    /// Colours for paper, mail and wikis.
    #[default]
    Light,
    /// Colours for screens at night.
    Dark,
}

/// A colour with its opacity: 255 is opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    /// Red, green, blue.
    pub rgb: [u8; 3],
    /// Opacity.
    pub alpha: u8,
}

const fn solid(rgb: u32) -> Paint {
    Paint { rgb: [(rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8], alpha: 255 }
}

impl Paint {
    /// The colour with this opacity.
    pub fn faint(self, alpha: u8) -> Self {
        Self { alpha, ..self }
    }
}

/// The colours of a theme.
#[derive(Debug)]
pub(super) struct Palette {
    pub(super) background: Paint,
    pub(super) text: Paint,
    pub(super) muted: Paint,
    pub(super) grid: Paint,
    pub(super) axis: Paint,
    pub(super) bad: Paint,
    pub(super) lines: [Paint; 8],
}

/// The colours of Okabe and Ito, darkened until they stand out from white.
const LIGHT: Palette = Palette {
    background: solid(0xffffff),
    text: solid(0x1b1f24),
    muted: solid(0x5f6973),
    grid: solid(0xe9ecef),
    axis: solid(0xc3c9cf),
    bad: solid(0xc62828),
    lines: [
        solid(0x0072b2),
        solid(0xd55e00),
        solid(0x008f68),
        solid(0xb85cb0),
        solid(0xa87b00),
        solid(0x3594cf),
        solid(0x5b4bb3),
        solid(0x6b727a),
    ],
};

const DARK: Palette = Palette {
    background: solid(0x15181d),
    text: solid(0xe6e9ed),
    muted: solid(0x97a1ac),
    grid: solid(0x262b32),
    axis: solid(0x464e58),
    bad: solid(0xff6b6b),
    lines: [
        solid(0x4fa8e6),
        solid(0xf2883f),
        solid(0x2fc79c),
        solid(0xe88fd8),
        solid(0xe8bd48),
        solid(0x93d0f7),
        solid(0xa79cf2),
        solid(0xb4bcc5),
    ],
};

/// Lines with fixed colours: their names, and the places of the colours.
pub(super) const MEANT: [(&str, usize); 12] = [
    ("used", 0),
    ("cache", 5),
    ("free", 7),
    ("user", 0),
    ("system", 1),
    ("iowait", 6),
    ("steal", 3),
    ("nice", 5),
    ("softirq", 4),
    ("irq", 7),
    ("disks", 1),
    ("memory", 3),
];

impl Theme {
    /// The colours of lines as a page writes them: `#0072b2`.
    #[cfg(test)]
    pub(super) fn colours(self) -> [String; 8] {
        self.palette().lines.map(|p| {
            let [r, g, b] = p.rgb;
            format!("#{r:02x}{g:02x}{b:02x}")
        })
    }

    pub(super) fn palette(self) -> &'static Palette {
        match self {
            Theme::Light => &LIGHT,
            Theme::Dark => &DARK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(p: Paint) -> f64 {
        let part = |c: u8| {
            let c = f64::from(c) / 255.0;
            if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(p.rgb[0]) + 0.7152 * part(p.rgb[1]) + 0.0722 * part(p.rgb[2])
    }

    fn contrast(a: Paint, b: Paint) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// A colour as seen without green (or red) cones: Viénot, Brettel and Mollon 1999.
    fn seen(p: Paint, protan: bool) -> [f64; 3] {
        let linear = p.rgb.map(|c| (f64::from(c) / 255.0).powf(2.2));
        let [r, g, b] = linear;
        let matrix = if protan {
            [[0.112_38, 0.887_62, 0.0], [0.112_38, 0.887_62, 0.0], [0.004_01, -0.004_01, 1.0]]
        } else {
            [[0.292_75, 0.707_25, 0.0], [0.292_75, 0.707_25, 0.0], [-0.022_34, 0.022_34, 1.0]]
        };
        matrix.map(|[x, y, z]| (x * r + y * g + z * b).max(0.0).powf(1.0 / 2.2) * 255.0)
    }

    #[test]
    fn lines_and_letters_stand_out() {
        for palette in [&LIGHT, &DARK] {
            for line in palette.lines {
                assert!(contrast(line, palette.background) >= 3.0, "{line:?}");
            }
            assert!(contrast(palette.text, palette.background) >= 7.0);
            assert!(contrast(palette.muted, palette.background) >= 4.5);
        }
    }

    #[test]
    fn neighbours_are_told_apart_by_the_colour_blind() {
        for palette in [&LIGHT, &DARK] {
            for pair in palette.lines.windows(2) {
                for protan in [true, false] {
                    let (a, b) = (seen(pair[0], protan), seen(pair[1], protan));
                    let far: f64 =
                        a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
                    assert!(far > 45.0, "{pair:?} {far}");
                }
            }
        }
    }
}
