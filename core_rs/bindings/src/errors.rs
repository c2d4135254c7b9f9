//! Exceptions: misuse, and the ends of the process. Refusals are values and never come this way.

use ordergate_journal::FollowError;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOSError};
use pyo3::prelude::*;

create_exception!(_core, JournalRefused, PyException);
create_exception!(_core, JournalLocked, PyException);
create_exception!(_core, JournalFailed, PyException);
create_exception!(_core, EnginePoisoned, PyException);
create_exception!(_core, FollowerStopped, PyException);

/// Puts the exceptions into the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("JournalRefused", py.get_type::<JournalRefused>())?;
    module.add("JournalLocked", py.get_type::<JournalLocked>())?;
    module.add("JournalFailed", py.get_type::<JournalFailed>())?;
    module.add("EnginePoisoned", py.get_type::<EnginePoisoned>())?;
    module.add("FollowerStopped", py.get_type::<FollowerStopped>())?;
    Ok(())
}

/// Why a follower cannot go on, as an exception: the disk may be better next time, everything else is the end.
pub fn stopped(error: FollowError) -> PyErr {
    match error {
        error @ FollowError::Io { .. } => PyOSError::new_err(error.to_string()),
        other => FollowerStopped::new_err(other.to_string()),
    }
}
