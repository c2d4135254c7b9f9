//! Rows on their way to Postgres, column by column: built without Python, handed over in one go.

use ordergate_core::terms::Seq;
use ordergate_journal::Hash;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use std::collections::BTreeMap;

/// Head of the chain over `execution.order_events`.
pub type EventHash = [u8; 32];

/// Tables that only grow, where a row that is there already is no everyday matter: COPY can do nothing else with it than
/// fail.
const COPIED: [&str; 2] = ["order_events", "outbox"];

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// SQL null.
    Null,
    /// bigint, or nanoseconds that a statement makes a time of.
    Int(i64),
    /// Nanoseconds since 1970, in a column of times that is copied.
    Time(i64),
    /// boolean.
    Bool(bool),
    /// text, numeric as decimal digits, json.
    Text(String),
    /// bytea.
    Bytes(Vec<u8>),
}

impl Cell {
    /// One field of a binary COPY: its length, then its bytes as the column's type receives them.
    fn push_field(&self, file: &mut Vec<u8>) {
        let mut field = |bytes: &[u8]| {
            // A value has less than 1 MiB: so has the frame or request that brought it.
            file.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            file.extend(bytes);
        };
        match self {
            Self::Null => file.extend((-1_i32).to_be_bytes()),
            Self::Int(value) => field(&value.to_be_bytes()),
            Self::Time(ns) => field(&(ns / 1000 - POSTGRES_EPOCH_US).to_be_bytes()),
            Self::Bool(value) => field(&[u8::from(*value)]),
            Self::Text(value) => field(value.as_bytes()),
            Self::Bytes(value) => field(value),
        }
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<u64> for Cell {
    fn from(value: u64) -> Self {
        // Sequences and ids stay far below 2⁶³.
        Self::Int(value.cast_signed())
    }
}
impl From<u32> for Cell {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}
impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(printable(value))
    }
}
impl From<String> for Cell {
    fn from(value: String) -> Self {
        if value.contains('\0') {
            Self::Text(printable(&value))
        } else {
            Self::Text(value)
        }
    }
}
impl From<&[u8]> for Cell {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}
impl From<Vec<u8>> for Cell {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}
impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Text without NUL, which Postgres refuses: a venue's words must not stop the write-behind.
pub fn printable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// 2000-01-01, from which Postgres counts, in microseconds since 1970.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// The columns of one table.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<Vec<Cell>>,
}

impl Table {
    /// Appends a row; every row of a table has the same width.
    pub fn push<const WIDTH: usize>(&mut self, row: [Cell; WIDTH]) {
        if self.columns.is_empty() {
            self.columns.resize_with(WIDTH, Vec::new);
        }
        debug_assert_eq!(self.columns.len(), WIDTH);
        for (column, cell) in self.columns.iter_mut().zip(row) {
            column.push(cell);
        }
    }

    /// The rows as a file of `COPY … WITH (FORMAT binary)`: no Python object is made for any value.
    pub fn copy_binary(&self) -> Vec<u8> {
        let mut file = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        let width = i16::try_from(self.columns.len()).unwrap_or_default();
        for row in 0..self.columns.first().map_or(0, Vec::len) {
            file.extend(width.to_be_bytes());
            for column in &self.columns {
                column[row].push_field(&mut file);
            }
        }
        file.extend((-1_i16).to_be_bytes());
        file
    }

    /// The columns as Python lists.
    pub fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let columns = PyList::empty(py);
        for column in &self.columns {
            let list = PyList::empty(py);
            for cell in column {
                match cell {
                    Cell::Null => list.append(py.None())?,
                    Cell::Int(value) | Cell::Time(value) => list.append(value)?,
                    Cell::Bool(value) => list.append(value)?,
                    Cell::Text(value) => list.append(value)?,
                    Cell::Bytes(value) => list.append(PyBytes::new(py, value))?,
                }
            }
            columns.append(list)?;
        }
        Ok(columns)
    }
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
            columns.set_item(name, table.to_python(py)?)?;
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
            files.set_item(name, PyBytes::new(py, &table.copy_binary()))?;
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
