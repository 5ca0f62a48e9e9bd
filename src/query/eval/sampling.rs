//! query: the place of a series for limit_ratio: the hash of its labels, so that the same series
//! are chosen everywhere. It is Prometheus' own hash (XXH64 over its encoding of labels).

use super::grid::Metric;

const PRIMES: [u64; 5] = [
    0x9E37_79B1_85EB_CA87,
    0xC2B2_AE3D_27D4_EB4F,
    0x1656_67B1_9E37_79F9,
    0x85EB_CA77_C2B2_AE63,
    0x27D4_EB2F_1656_67C5,
];

/// The place of a series between 0 and 1.
pub(super) fn place(metric: &Metric) -> f64 {
    let mut bytes = Vec::new();
    for text in metric.iter().flat_map(|(name, value)| [name, value]) {
        let length = text.len();
        if length < 255 {
            bytes.push(length as u8);
        } else {
            bytes.extend([255, length as u8, (length >> 8) as u8, (length >> 16) as u8]);
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxh64(&bytes) as f64 / u64::MAX as f64
}

/// Whether a place is in the first part (a positive ratio) or in the last (a negative one).
pub(super) fn is_in(place: f64, ratio: f64) -> bool {
    if ratio >= 0.0 { place < ratio } else { place >= 1.0 + ratio }
}

fn round(state: u64, word: u64) -> u64 {
    state.wrapping_add(word.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
}

fn xxh64(bytes: &[u8]) -> u64 {
    let word =
        |at: &[u8]| at.iter().take(8).rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    let mut rest = bytes;
    let mut hash = if bytes.len() >= 32 {
        let mut lanes = [PRIMES[0].wrapping_add(PRIMES[1]), PRIMES[1], 0, PRIMES[0].wrapping_neg()];
        while rest.len() >= 32 {
            for (lane, part) in lanes.iter_mut().zip(rest.chunks_exact(8)) {
                *lane = round(*lane, word(part));
            }
            rest = &rest[32..];
        }
        let mut hash = [1, 7, 12, 18]
            .iter()
            .zip(lanes)
            .fold(0_u64, |hash, (turn, lane)| hash.wrapping_add(lane.rotate_left(*turn)));
        for lane in lanes {
            hash = (hash ^ round(0, lane)).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
        }
        hash
    } else {
        PRIMES[4]
    };
    hash = hash.wrapping_add(bytes.len() as u64);
    while rest.len() >= 8 {
        hash = (hash ^ round(0, word(rest))).rotate_left(27);
        hash = hash.wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
        rest = &rest[8..];
    }
    if rest.len() >= 4 {
        hash = (hash ^ word(&rest[..4]).wrapping_mul(PRIMES[0])).rotate_left(23);
        hash = hash.wrapping_mul(PRIMES[1]).wrapping_add(PRIMES[2]);
        rest = &rest[4..];
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIMES[4])).rotate_left(11);
        hash = hash.wrapping_mul(PRIMES[0]);
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_xxh64() {
        assert_eq!(xxh64(b""), 0xef46_db37_51d8_e999);
        assert_eq!(xxh64(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(xxh64(b"abc"), 0x44bc_2cf5_ad77_0999);
        let long = b"Call me Ishmael. Some years ago--never mind how long precisely-";
        assert_eq!(xxh64(long), 0x02a2_e854_70d6_fd96);
    }

    #[test]
    fn a_ratio_and_its_opposite_share_all() {
        for place in [0.0, 0.2, 0.5, 0.8, 0.99] {
            assert_ne!(is_in(place, 0.5), is_in(place, -0.5), "{place}");
        }
    }
}
