//! Rows on their way to Postgres: each table is kept as the body of a binary COPY, which costs no allocation per value.

use ordergate_core::terms::Seq;
use ordergate_journal::Hash;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Head of the chain over `execution.order_events`.
pub type EventHash = [u8; 32];

/// Tables that only grow, where a row that is there already is no everyday matter: COPY can do nothing else with it than
/// fail.
const COPIED: [&str; 2] = ["order_events", "outbox"];
/// What a binary COPY begins with: signature, no flags, no header extension.
const COPY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// And ends with: a row of −1 fields.
const COPY_TAIL: [u8; 2] = (-1_i16).to_be_bytes();
/// 2000-01-01, from which Postgres counts, in microseconds since 1970.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// SQL null.
    Null,
    /// bigint, or nanoseconds that a statement makes a time of.
    Int(i64),
    /// Nanoseconds since 1970, in a column of times that is copied.
    Time(i64),
    /// boolean.
    Bool(bool),
    /// text, numeric as decimal digits, json.
    Text(Cow<'a, str>),
    /// bytea.
    Bytes(&'a [u8]),
}

impl From<i64> for Cell<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<u64> for Cell<'_> {
    fn from(value: u64) -> Self {
        // Sequences and ids stay far below 2⁶³.
        Self::Int(value.cast_signed())
    }
}
impl From<u32> for Cell<'_> {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}
impl From<bool> for Cell<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl<'a> From<&'a str> for Cell<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(printable(value))
    }
}
impl From<String> for Cell<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(match printable(&value) {
            Cow::Borrowed(_) => value,
            Cow::Owned(printable) => printable,
        }))
    }
}
impl<'a> From<&'a [u8]> for Cell<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}
impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Text without NUL, which Postgres refuses: a venue's words must not stop the write-behind.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// How the bytes of a column are read back.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Int,
    Time,
    Bool,
    Text,
    Bytes,
}

/// The rows of one table.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<u8>,
    /// By column; `None` while it holds only nulls.
    kinds: Vec<Option<Kind>>,
}

impl Table {
    /// Appends a row; every row of a table has the same width.
    pub fn push<const WIDTH: usize>(&mut self, row: [Cell<'_>; WIDTH]) {
        self.kinds.resize(WIDTH, None);
        let width = i16::try_from(WIDTH).unwrap_or_default();
        self.rows.extend(width.to_be_bytes());
        for (kind, cell) in self.kinds.iter_mut().zip(row) {
            *kind = match cell {
                Cell::Null => {
                    self.rows.extend((-1_i32).to_be_bytes());
                    continue;
                }
                Cell::Int(value) => field(&mut self.rows, Kind::Int, &value.to_be_bytes()),
                Cell::Time(ns) => {
                    let since_2000 = ns / 1000 - POSTGRES_EPOCH_US;
                    field(&mut self.rows, Kind::Time, &since_2000.to_be_bytes())
                }
                Cell::Bool(value) => field(&mut self.rows, Kind::Bool, &[u8::from(value)]),
                Cell::Text(value) => field(&mut self.rows, Kind::Text, value.as_bytes()),
                Cell::Bytes(value) => field(&mut self.rows, Kind::Bytes, value),
            };
        }
    }

    /// The rows as a file of `COPY … WITH (FORMAT binary)`: no Python object is made for any value.
    pub fn copy_file(&self) -> Vec<u8> {
        [COPY_HEAD, &self.rows, &COPY_TAIL].concat()
    }

    /// The columns as Python lists; times as nanoseconds.
    pub fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let columns: Vec<_> = self.kinds.iter().map(|_| PyList::empty(py)).collect();
        let mut rest = &self.rows[..];
        while !rest.is_empty() {
            take::<2>(&mut rest);
            for (column, kind) in columns.iter().zip(&self.kinds) {
                // −1, a null, is no length.
                let (Ok(length), Some(kind)) = (usize::try_from(i32::from_be_bytes(take(&mut rest))), kind) else {
                    column.append(py.None())?;
                    continue;
                };
                let value = rest.split_off(..length).unwrap_or_default();
                let whole = || i64::from_be_bytes(value.try_into().unwrap_or_default());
                match kind {
                    Kind::Int => column.append(whole())?,
                    Kind::Time => column.append((whole() + POSTGRES_EPOCH_US) * 1000)?,
                    Kind::Bool => column.append(value == [1])?,
                    Kind::Text => column.append(PyString::from_bytes(py, value)?)?,
                    Kind::Bytes => column.append(PyBytes::new(py, value))?,
                }
            }
        }
        PyList::new(py, columns)
    }
}

/// Appends a field: its length, then its bytes as the column's type receives them.
fn field(rows: &mut Vec<u8>, kind: Kind, bytes: &[u8]) -> Option<Kind> {
    // Every value is far below 2 GiB: so is the request or frame that brought it.
    rows.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    rows.extend(bytes);
    Some(kind)
}

/// The next bytes of what `push` has written.
fn take<const LENGTH: usize>(rest: &mut &[u8]) -> [u8; LENGTH] {
    let taken = rest.split_off(..LENGTH).unwrap_or_default();
    taken.try_into().unwrap_or([0; LENGTH])
}

/// What one batch of whole chunks means for Postgres.
#[pyclass(frozen, module = "ordergate._core")]
pub struct Rows {
    /// First record.
    #[pyo3(get)]
    pub first_seq: Seq,
    /// Last record, at the end of a chunk.
    #[pyo3(get)]
    pub last_seq: Seq,
    /// Epoch of that chunk.
    #[pyo3(get)]
    pub epoch: u32,
    /// Hash of that chunk.
    pub chunk_hash: Hash,
    /// Head of the chain after the batch.
    pub event_hash: EventHash,
    /// By name.
    pub tables: BTreeMap<&'static str, Table>,
}

impl Rows {
    fn columns<'py>(&self, py: Python<'py>, wanted: impl Fn(&str) -> bool) -> PyResult<Bound<'py, PyDict>> {
        let columns = PyDict::new(py);
        for (name, table) in self.tables.iter().filter(|(name, _)| wanted(name)) {
            columns.set_item(name, table.columns(py)?)?;
        }
        Ok(columns)
    }
}

#[pymethods]
impl Rows {
    #[getter]
    fn chunk_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.chunk_hash)
    }

    /// Table name -> its rows as a file for a binary COPY.
    #[getter]
    fn copied<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let files = PyDict::new(py);
        for (name, table) in self.tables.iter().filter(|(name, _)| COPIED.contains(name)) {
            files.set_item(name, PyBytes::new(py, &table.copy_file()))?;
        }
        Ok(files)
    }

    /// Table name -> columns, of the tables that are not copied.
    #[getter]
    fn merged<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.columns(py, |name| !COPIED.contains(&name))
    }

    /// Table name -> columns, of all tables.
    #[getter]
    fn tables<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.columns(py, |_| true)
    }

    #[getter]
    fn event_hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.event_hash)
    }
}
