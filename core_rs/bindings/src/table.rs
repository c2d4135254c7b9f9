//! Rows on their way to Postgres, column by column: built without Python, handed over in one go.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// SQL null.
    Null,
    /// bigint, or nanoseconds.
    Int(i64),
    /// boolean.
    Bool(bool),
    /// text, numeric as decimal digits, json.
    Text(String),
    /// bytea.
    Bytes(Vec<u8>),
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

    /// The columns as Python lists.
    pub fn into_python<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let columns = PyList::empty(py);
        for column in self.columns {
            let list = PyList::empty(py);
            for cell in column {
                match cell {
                    Cell::Null => list.append(py.None())?,
                    Cell::Int(value) => list.append(value)?,
                    Cell::Bool(value) => list.append(value)?,
                    Cell::Text(value) => list.append(value)?,
                    Cell::Bytes(value) => list.append(PyBytes::new(py, &value))?,
                }
            }
            columns.append(list)?;
        }
        Ok(columns)
    }
}
