//! store: the schema, version by version, and how a file says that it is one of plimsoll's.

/// What each version adds to the one before. A fresh database goes the same way as an old one, so
/// that they cannot differ.
pub(in crate::store) const SCHEMA: [&str; 6] = [
    include_str!("sql/v1.sql"),
    include_str!("sql/v2.sql"),
    include_str!("sql/v3.sql"),
    include_str!("sql/v4.sql"),
    // A version that changes a view or a trigger drops all of them and makes them again from
    // `views.sql`: this step then drops them only, and the last step has the file.
    concat!(include_str!("sql/v5.sql"), include_str!("sql/views.sql")),
    include_str!("sql/v6.sql"),
];

/// `PLIM`: marks the file as ours (`file metrics.sqlite` shows it).
pub const APPLICATION_ID: i64 = 0x504C_494D;

/// The newest schema this program knows; `PRAGMA user_version`.
pub const SCHEMA_VERSION: i64 = SCHEMA.len() as i64;
