//! A refusal as Python sees it.

use ordergate_core::refusal;
use pyo3::prelude::*;

/// Why a request was refused before anything was journaled.
#[pyclass(frozen, module = "ordergate._core")]
pub struct Refusal {
    /// Stable code.
    #[pyo3(get)]
    code: &'static str,
    /// One sentence for people.
    #[pyo3(get)]
    detail: String,
    /// (field, message) pairs.
    #[pyo3(get)]
    errors: Vec<(String, String)>,
    /// When trying again may help.
    #[pyo3(get)]
    retry_after_ms: Option<u32>,
}

impl From<refusal::Refusal> for Refusal {
    fn from(refusal: refusal::Refusal) -> Self {
        Self {
            code: refusal.code,
            detail: refusal.detail,
            errors: refusal
                .errors
                .into_iter()
                .map(|error| (error.field, error.message))
                .collect(),
            retry_after_ms: refusal.retry_after_ms,
        }
    }
}

#[pymethods]
impl Refusal {
    fn __repr__(&self) -> String {
        format!("Refusal({}: {})", self.code, self.detail)
    }
}
