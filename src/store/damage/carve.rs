//! store: rows out of a damaged SQLite file, page by page. A page is found to belong to a table by
//! two ways that do not need each other: from the table's root down, and by the file's own map of
//! pages (`auto_vacuum` keeps one, which names every page's parent). So one lost page, of whatever
//! kind, loses the rows on it and no others. Nothing here trusts a byte.

use std::path::Path;

use rusqlite::types::Value;

use super::pages::{MOST_PAGES, Pages, word};

/// What is looked for, by the name that the schema gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Schema,
    Systems,
    Series,
    /// Index over system, job, name, labels.
    SeriesUnique,
    /// Index over key.
    SeriesByKey,
    Samples,
    Inbox,
    Blocks,
    /// Index over resolution, group, level, end.
    BlocksByGroup,
    Late,
    Dirty,
    State,
    Hours,
    Events,
    AlertState,
    Outbox,
    Told,
    Silences,
    Acks,
}

impl Table {
    const ALL: [(Self, &'static str); 19] = [
        (Self::Schema, "sqlite_schema"),
        (Self::Systems, "system_dict"),
        (Self::Series, "series_dict"),
        (Self::SeriesUnique, "sqlite_autoindex_series_dict_1"),
        (Self::SeriesByKey, "series_by_key"),
        (Self::Samples, "samples"),
        (Self::Inbox, "inbox"),
        (Self::Blocks, "blocks"),
        (Self::BlocksByGroup, "blocks_by_group"),
        (Self::Late, "late"),
        (Self::Dirty, "dirty"),
        (Self::State, "state"),
        (Self::Hours, "rollup_1h"),
        (Self::Events, "events"),
        (Self::AlertState, "alert_state"),
        (Self::Outbox, "outbox"),
        (Self::Told, "told"),
        (Self::Silences, "silences"),
        (Self::Acks, "acks"),
    ];

    /// Tables with a row id lie in another kind of tree than those without, and than indexes.
    fn has_rowid(self) -> bool {
        matches!(
            self,
            Self::Schema
                | Self::Systems
                | Self::Series
                | Self::Inbox
                | Self::Blocks
                | Self::Late
                | Self::Events
                | Self::AlertState
                | Self::Outbox
                | Self::Told
                | Self::Silences
                | Self::Acks
        )
    }
}

/// One row, or entry of an index, as it lay there.
#[derive(Debug)]
pub(super) struct Row {
    /// 0 in a tree without row ids.
    pub(super) rowid: i64,
    pub(super) values: Vec<Value>,
}

impl Row {
    /// About so many bytes of a page.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Blob(blob) => blob.len(),
            _ => 8,
        };
        self.values.iter().map(|value| bytes(value) as u64).sum()
    }
}

const INTERIOR_INDEX: u8 = 2;
const INTERIOR_TABLE: u8 = 5;
const LEAF_INDEX: u8 = 10;
const LEAF_TABLE: u8 = 13;
/// Deeper trees do not exist.
const DEEPEST: usize = 20;
/// The schema's own pages lie at the front.
const SCHEMA_WITHIN: u32 = 64;
/// More overflow pages than the largest block has.
const LONGEST_CHAIN: usize = 16_384;

/// What the file's map says of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mapped {
    Root,
    Free,
    Overflow,
    Child(u32),
    /// Child of a page that lies behind the end of the file.
    Orphan,
    Unknown,
}

/// A damaged file, and whose its pages are.
#[derive(Debug)]
pub(super) struct Carver {
    pages: Pages,
    /// By page number; `None`: nobody's, or not of interest.
    owners: Vec<Option<Table>>,
}

impl Carver {
    /// Finds out which page belongs to which table. `usual_roots`: where a fresh database has them,
    /// for what the file's own schema does not tell any more.
    pub(super) fn open(path: &Path, usual_roots: &[(String, u32)]) -> std::io::Result<Self> {
        Self::open_part(path, usual_roots, MOST_PAGES)
    }

    /// Whether the file's schema is that of a database of ours. Looks at the front alone: what is
    /// asked may be a disk.
    pub(super) fn is_ours(path: &Path) -> std::io::Result<bool> {
        let front = Self::open_part(path, &[], SCHEMA_WITHIN)?;
        let told = front.roots_told();
        let named = |name: &str| told.iter().any(|(n, _)| n == name);
        Ok(named("series_dict") && named("system_dict") && named("samples"))
    }

    fn open_part(path: &Path, usual_roots: &[(String, u32)], most: u32) -> std::io::Result<Self> {
        let pages = Pages::open(path, most)?;
        let mut carver = Self { owners: vec![None; pages.count() as usize + 1], pages };
        let map = carver.map();
        carver.claim(&[(Table::Schema, 1)], &map);
        let told = carver.roots_told();
        let roots: Vec<(Table, u32)> = (Table::ALL.iter().skip(1))
            .filter_map(|(table, name)| {
                let find = |list: &[(String, u32)]| {
                    list.iter().find(|(n, _)| n == name).map(|(_, page)| *page)
                };
                Some((*table, find(&told).or_else(|| find(usual_roots))?))
            })
            .collect();
        carver.claim(&roots, &map);
        carver.adopt(&map);
        Ok(carver)
    }

    /// The number of the last page.
    pub(super) fn count(&self) -> u32 {
        self.pages.count()
    }

    /// Whose page it is.
    pub(super) fn owner(&self, page: u32) -> Option<Table> {
        self.owners.get(page as usize).copied().flatten()
    }

    /// The pages of a table.
    pub(super) fn pages_of(&self, table: Table) -> impl Iterator<Item = u32> + '_ {
        (1..=self.count()).filter(move |page| self.owner(*page) == Some(table))
    }

    /// Every row of a table that can be read.
    pub(super) fn all(&self, table: Table) -> Vec<Row> {
        let mut rows = Vec::new();
        for page in self.pages_of(table) {
            self.rows(page, &mut rows);
        }
        rows
    }

    fn roots_told(&self) -> Vec<(String, u32)> {
        let mut rows = Vec::new();
        // Also such leaves of it as nothing leads to any more.
        for page in 1..=self.count().min(SCHEMA_WITHIN) {
            if matches!(self.owner(page), None | Some(Table::Schema)) {
                self.leaf_rows(page, Table::Schema, &mut rows);
            }
        }
        (rows.into_iter())
            .filter_map(|row| match row.values.as_slice() {
                [Value::Text(kind), Value::Text(name), Value::Text(_), Value::Integer(root), _]
                    if kind == "table" || kind == "index" =>
                {
                    let root = u32::try_from(*root).ok()?;
                    (2..=self.count()).contains(&root).then(|| (name.clone(), root))
                }
                _ => None,
            })
            .collect()
    }

    /// The file's map of its pages, by page number; all unknown if it has none.
    fn map(&self) -> Vec<Mapped> {
        let mut map = vec![Mapped::Unknown; self.count() as usize + 1];
        let mut page = Vec::new();
        self.pages.read(1, &mut page);
        // The header says whether there is one. If the header is gone, look where it would be.
        let there = if page.starts_with(b"SQLite format 3\0") {
            word(&page, 52) > 0
        } else {
            self.pages.read(2, &mut page) && page[..5] == [1, 0, 0, 0, 0]
        };
        let each = self.pages.size() / 5;
        let mut at = 2;
        while there && at <= self.count() {
            if self.pages.read(at, &mut page) {
                for (entry, slot) in page.chunks_exact(5).zip(map.iter_mut().skip(at as usize + 1))
                {
                    let parent = word(entry, 1);
                    *slot = match entry[0] {
                        1 => Mapped::Root,
                        2 => Mapped::Free,
                        3 | 4 => Mapped::Overflow,
                        5 if parent > 0 && parent <= self.count() => Mapped::Child(parent),
                        5 if parent > 0 => Mapped::Orphan,
                        _ => Mapped::Unknown,
                    };
                }
            }
            at += each as u32 + 1;
        }
        map
    }

    /// Gives the pages of these trees to their tables.
    fn claim(&mut self, roots: &[(Table, u32)], map: &[Mapped]) {
        for (table, root) in roots {
            self.walk(*root, *table, map);
        }
        for page in 2..=self.count() {
            let mut at = page;
            for _ in 0..DEEPEST {
                if let Some(table) = self.owner(at) {
                    // The way up met what the way down had reached.
                    self.owners[page as usize] = Some(table);
                    break;
                }
                match map[at as usize] {
                    Mapped::Child(parent) => at = parent,
                    _ => break,
                }
            }
        }
    }

    /// Of a file that was cut off, pages whose parents are gone: the rows on them tell which of the
    /// tables that grow they belong to.
    fn adopt(&mut self, map: &[Mapped]) {
        let orphaned = |page: u32| {
            let mut at = page;
            for _ in 0..DEEPEST {
                match map[at as usize] {
                    Mapped::Orphan => return true,
                    Mapped::Child(parent) => at = parent,
                    _ => return false,
                }
            }
            false
        };
        let mut rows = Vec::new();
        for page in (2..=self.count()).filter(|page| orphaned(*page)) {
            if self.owner(page).is_some() {
                continue;
            }
            for table in [Table::Samples, Table::Hours, Table::Blocks] {
                rows.clear();
                self.owners[page as usize] = Some(table);
                if self.rows(page, &mut rows)
                    && !rows.is_empty()
                    && rows.iter().all(is_row_of(table))
                {
                    break;
                }
                self.owners[page as usize] = None;
            }
        }
    }

    /// Claims a tree from its root down, as far as its pages are what they should be.
    fn walk(&mut self, root: u32, table: Table, map: &[Mapped]) {
        let (leaf, interior) = kinds(table);
        let mut open = vec![(root, 0)];
        let mut page = Vec::new();
        while let Some((number, depth)) = open.pop() {
            if number == 0
                || number > self.count()
                || depth > DEEPEST
                || self.owner(number).is_some()
                || (depth > 0 && matches!(map[number as usize], Mapped::Free | Mapped::Overflow))
                || !self.pages.read(number, &mut page)
            {
                continue;
            }
            let start = start_of(number);
            let kind = page[start];
            if kind != leaf && kind != interior && depth > 0 {
                continue;
            }
            self.owners[number as usize] = Some(table);
            if kind == interior {
                open.extend(cells(&page, start).map(|at| (word(&page, at), depth + 1)));
                open.push((word(&page, start + 8), depth + 1));
            }
        }
    }

    /// The rows on a page; false: it should have had some, and cannot be read.
    pub(super) fn rows(&self, page: u32, out: &mut Vec<Row>) -> bool {
        let Some(table) = self.owner(page) else { return true };
        let (leaf, interior) = kinds(table);
        let mut bytes = Vec::new();
        if !self.pages.read(page, &mut bytes) {
            return false;
        }
        let start = start_of(page);
        match bytes[start] {
            kind if kind == interior && table.has_rowid() => true,
            kind if kind == interior => self.parse(&bytes, start, 4, table, out),
            kind if kind == leaf => self.parse(&bytes, start, 0, table, out),
            // What it is can be told by where it hangs: nearly all are leaves.
            _ => {
                self.parse(&bytes, start, 0, table, out);
                false
            }
        }
    }

    /// The rows of a leaf page that may belong to `table`.
    fn leaf_rows(&self, page: u32, table: Table, out: &mut Vec<Row>) {
        let mut bytes = Vec::new();
        if self.pages.read(page, &mut bytes) && bytes[start_of(page)] == kinds(table).0 {
            self.parse(&bytes, start_of(page), 0, table, out);
        }
    }

    /// `skip`: bytes of a child's number in front of each cell. False: not all could be read.
    fn parse(
        &self,
        page: &[u8],
        start: usize,
        skip: usize,
        table: Table,
        out: &mut Vec<Row>,
    ) -> bool {
        let before = out.len();
        let said = u16_at(page, start + 3);
        for at in cells(page, start) {
            out.extend(self.cell(page, at + skip, table));
        }
        out.len() - before == said
    }

    fn cell(&self, page: &[u8], mut at: usize, table: Table) -> Option<Row> {
        let usable = self.pages.size();
        let length = usize::try_from(varint(page, &mut at)?).ok()?;
        let mut rowid = 0;
        let most = if table.has_rowid() {
            rowid = varint(page, &mut at)?;
            usable - 35
        } else {
            (usable - 12) * 64 / 255 - 23
        };
        if length <= most {
            let values = record(page.get(at..at.checked_add(length)?)?)?;
            return Some(Row { rowid, values });
        }
        let least = (usable - 12) * 32 / 255 - 23;
        let fit = least + (length - least) % (usable - 4);
        let local = if fit <= most { fit } else { least };
        if length.div_ceil(usable - 4) > LONGEST_CHAIN {
            return None;
        }
        let mut bytes = page.get(at..at + local)?.to_vec();
        self.overflow(word(page.get(at + local..at + local + 4)?, 0), length, &mut bytes);
        // A broken chain: what is missing reads as zero; blocks have checksums of their own.
        bytes.resize(length, 0);
        Some(Row { rowid, values: record(&bytes)? })
    }

    fn overflow(&self, mut next: u32, length: usize, bytes: &mut Vec<u8>) {
        let mut page = Vec::new();
        for _ in 0..LONGEST_CHAIN {
            if bytes.len() >= length || next == 0 || !self.pages.read(next, &mut page) {
                return;
            }
            let take = (length - bytes.len()).min(page.len() - 4);
            bytes.extend_from_slice(&page[4..4 + take]);
            next = word(&page, 0);
        }
    }
}

/// Types of the pages of a tree: leaf, interior.
fn kinds(table: Table) -> (u8, u8) {
    if table.has_rowid() { (LEAF_TABLE, INTERIOR_TABLE) } else { (LEAF_INDEX, INTERIOR_INDEX) }
}

/// Whether a row looks like one of a table that grows; no other table's rows look alike.
fn is_row_of(table: Table) -> impl Fn(&Row) -> bool {
    let numbers = |values: &[Value]| values.iter().all(|v| matches!(v, Value::Integer(_)));
    move |row| match (table, row.values.as_slice()) {
        (Table::Samples, [keys @ .., Value::Integer(_) | Value::Real(_) | Value::Blob(_)]) => {
            keys.len() == 2 && numbers(keys)
        }
        (Table::Hours, [keys @ .., _, _, _, _, Value::Integer(_), _]) => {
            keys.len() == 3 && numbers(keys)
        }
        (Table::Blocks, [Value::Null, head @ .., Value::Blob(_)]) => {
            head.len() == 8 && numbers(head)
        }
        _ => false,
    }
}

/// The first page begins with the file's header.
fn start_of(page: u32) -> usize {
    if page == 1 { 100 } else { 0 }
}

fn u16_at(page: &[u8], at: usize) -> usize {
    page.get(at..at + 2).map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]])))
}

/// Where the cells of a page lie.
fn cells(page: &[u8], start: usize) -> impl Iterator<Item = usize> + '_ {
    let kind = page.get(start).copied().unwrap_or(0);
    let first = start + if kind == INTERIOR_INDEX || kind == INTERIOR_TABLE { 12 } else { 8 };
    let most = page.len().saturating_sub(first) / 4;
    let count = u16_at(page, start + 3).min(most);
    (0..count).map(move |i| u16_at(page, first + 2 * i)).filter(move |at| *at >= first)
}

/// One to nine bytes, the most significant first.
fn varint(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut value = 0u64;
    for i in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if i == 8 {
            return Some((value << 8 | u64::from(byte)) as i64);
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            break;
        }
    }
    Some(value as i64)
}

/// The columns of a record; `None`: it is not one.
fn record(bytes: &[u8]) -> Option<Vec<Value>> {
    let mut at = 0;
    let header = usize::try_from(varint(bytes, &mut at)?).ok()?;
    if header > bytes.len() || header > 200 {
        return None;
    }
    let mut data = header;
    let mut values = Vec::new();
    while at < header {
        let kind = varint(bytes, &mut at)?;
        let width = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind as usize,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let field = bytes.get(data..data.checked_add(width)?)?;
        data += width;
        values.push(match kind {
            0 => Value::Null,
            7 => Value::Real(f64::from_be_bytes(field.try_into().ok()?)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            1..=6 => {
                let sign = if field[0] >= 0x80 { -1 } else { 0 };
                Value::Integer(field.iter().fold(sign, |n, b| n << 8 | i64::from(*b)))
            }
            _ if kind % 2 == 0 => Value::Blob(field.to_vec()),
            _ => Value::Text(std::str::from_utf8(field).ok()?.to_owned()),
        });
    }
    (at == header).then_some(values)
}

/// Keeps the longest run of keys that ascend, as they do on a page that is whole: a key that was
/// damaged, or a row found twice, stands out. `true`: keep.
pub(super) fn ascending<K: Ord>(keys: &[K]) -> Vec<bool> {
    // tails[n]: the smallest key that ends a run of n + 1; before[i]: what i follows in its run.
    let mut tails: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(keys.len());
    for (i, key) in keys.iter().enumerate() {
        let place = tails.partition_point(|t| keys[*t] < *key);
        before.push(place.checked_sub(1).map(|p| tails[p]));
        match tails.get_mut(place) {
            Some(tail) => *tail = i,
            None => tails.push(i),
        }
    }
    let mut keep = vec![false; keys.len()];
    let mut next = tails.last().copied();
    while let Some(i) = next {
        keep[i] = true;
        next = before[i];
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_out_of_order_stands_out() {
        assert_eq!(ascending(&[1, 2, 99, 3, 4]), [true, true, false, true, true]);
        assert_eq!(ascending(&[5, 1, 2, 2, 3]), [false, true, false, true, true]);
        assert!(ascending::<i64>(&[]).is_empty());
    }

    #[test]
    fn numbers_of_every_width() {
        // Header of 4, three columns: one byte, none (a 1), two bytes.
        assert_eq!(
            record(&[4, 1, 9, 2, 0xff, 0x01, 0x00]),
            Some(vec![Value::Integer(-1), Value::Integer(1), Value::Integer(256)])
        );
        let mut at = 0;
        assert_eq!(varint(&[0xff; 9], &mut at), Some(-1));
    }

    proptest! {
        #[test]
        fn hostile_records_only_ever_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            record(&bytes);
        }
    }
}
