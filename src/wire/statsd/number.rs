//! wire: numbers as statsd clients write them. Short decimals, nearly all of them, are read digit by
//! digit; everything else goes to the standard library. Both round alike.

/// Powers of ten that an f64 holds exactly.
const TENS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// The number at the front of the text, of a sign and up to 15 digits with one point, and its
/// length. `None` if there is no digit, or the number continues.
///
/// The digits are a whole number below 2^53 and the divisor is exact, so one rounding, that of the
/// division, makes it the f64 nearest to the decimal.
#[inline(always)]
pub(super) fn leading_decimal(text: &[u8]) -> Option<(f64, usize)> {
    let (minus, start) = match text.first()? {
        b'-' => (true, 1),
        b'+' => (false, 1),
        _ => (false, 0),
    };
    let mut at = start;
    let mut digits: u64 = 0;
    while let Some(d) = text.get(at).map(|b| b.wrapping_sub(b'0'))
        && d < 10
        && at < start + 15
    {
        digits = digits * 10 + u64::from(d);
        at += 1;
    }
    let mut count = at - start;
    let mut number = digits as f64;
    if text.get(at) == Some(&b'.') {
        at += 1;
        let point = at;
        while let Some(d) = text.get(at).map(|b| b.wrapping_sub(b'0'))
            && d < 10
            && count < 15
        {
            digits = digits * 10 + u64::from(d);
            at += 1;
            count += 1;
        }
        number = digits as f64 / TENS[(at - point).min(15)];
    }
    let ends = !matches!(text.get(at), Some(b'0'..=b'9' | b'e' | b'E' | b'.'));
    (count > 0 && ends).then_some((if minus { -number } else { number }, at))
}

/// A finite decimal number, with a sign and an exponent if it has one; nothing else around it.
pub fn decimal(text: &[u8]) -> Option<f64> {
    if let Some((number, used)) = leading_decimal(text)
        && used == text.len()
    {
        return Some(number);
    }
    // Rust also reads `inf`, `infinity` and `nan`.
    let plain = |b: &u8| matches!(b, b'0'..=b'9' | b'.' | b'+' | b'-' | b'e' | b'E');
    if !text.iter().all(plain) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok().filter(|n: &f64| n.is_finite())
}
