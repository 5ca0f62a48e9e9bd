//! store: any bytes as a block, behind a directory whose checksum is right: columns or errors.

use plimsoll::store::block::{Directory, GROUP, decode};
use plimsoll::store::chunk::Scratch;

/// Where the directory ends and its checksum begins, as docs/format/block.md has it; nothing: the bytes
/// end before it does.
fn end_of_directory(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    let number = |at: &mut usize| -> Option<usize> {
        let mut value = 0;
        for shift in 0..5 {
            let byte = *bytes.get(*at)?;
            *at += 1;
            value |= usize::from(byte & 0x7f) << (7 * shift);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    };
    let counts = [number(&mut at)?, number(&mut at)?, number(&mut at)?];
    for _ in 0..counts[0] * 2 + counts[1] {
        number(&mut at)?;
    }
    for _ in 0..counts[2] {
        at += 2;
        for _ in 0..3 {
            number(&mut at)?;
        }
        at += 4;
    }
    (at + 4 <= bytes.len()).then_some(at)
}

pub fn run(data: &[u8]) {
    let [group @ .., _, _] = data.first_chunk::<10>().unwrap_or(&[0; 10]);
    let group = i64::from_le_bytes(*group);
    let mut bytes = data.get(8..).unwrap_or_default().to_vec();
    let Some(first) = bytes.first_mut() else { return };
    *first = 1;
    if let Some(end) = end_of_directory(&bytes) {
        let sum = crc32fast::hash(&bytes[..end]);
        bytes[end..end + 4].copy_from_slice(&sum.to_le_bytes());
    }
    let directory = Directory::read(&bytes);
    let columns = decode(group, &bytes, &mut Scratch::default());
    match (directory, columns) {
        (Ok(Some(directory)), Ok(columns)) => {
            assert!(directory.size() <= bytes.len());
            assert_eq!(directory.entries().len(), columns.len());
            for (_, _, column) in columns {
                if let Ok((times, values)) = column {
                    assert_eq!(times.len(), values.len());
                }
            }
            assert!(directory.entries().iter().all(|e| i64::from(e.offset) < GROUP));
        }
        (Ok(None) | Err(_), Err(_)) => {}
        _ => panic!("they disagree"),
    }
}
