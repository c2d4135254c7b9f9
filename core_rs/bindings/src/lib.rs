//! `ordergate._core`: convert, call, convert. No decision is made here.

mod administration;
mod archive;
mod changes;
mod doubts;
mod errors;
mod explaining;
mod filters;
mod follower;
mod gateway;
mod inspection;
mod kills;
mod refusal;
mod requests;
mod retention;
mod risk_state;
mod rows;
mod rule_rows;
mod rules;
mod start;
mod table;
mod trading_rules;
mod venue_facts;
mod venue_rows;
mod venues;
mod work;

use ordergate_core::terms;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Words of a vocabulary.
macro_rules! words {
    ($dict:expr, $($name:literal => $type:ty),+ $(,)?) => {
        $($dict.set_item($name, <$type>::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>())?;)+
    };
}

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add(
        "BUILD_PROFILE",
        if cfg!(debug_assertions) { "debug" } else { "release" },
    )?;
    module.add("FOLD_VERSION", ordergate_core::record::FOLD_VERSION)?;
    let vocabulary = PyDict::new(module.py());
    words!(vocabulary,
        "mode" => terms::Mode, "side" => terms::Side, "type" => terms::OrdType, "timeInForce" => terms::TimeInForce,
        "status" => terms::OrdStatus, "rejectedBy" => terms::RejectedBy, "scope" => terms::Scope,
        "killScope" => terms::KillScope,
    );
    module.add("VOCABULARY", vocabulary)?;
    module.add("LIMIT_KINDS", risk_state::limit_kinds())?;
    errors::register(module)?;
    inspection::register(module)?;
    module.add_class::<gateway::Gateway>()?;
    module.add_class::<refusal::Refusal>()?;
    module.add_class::<follower::Follower>()?;
    module.add_class::<table::Rows>()?;
    module.add_function(wrap_pyfunction!(archive::archive_segment, module)?)?;
    Ok(())
}
