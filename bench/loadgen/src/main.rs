//! `ordergate-loadgen`: drives one HTTP/1.1 server with N keep-alive connections in a closed loop (each connection sends
//! its next request when the answer of the last has arrived) and prints one line of JSON.
//!
//! Every request is new: `{n}` in a header or in the body becomes a number that no other request of the run has, at a
//! constant width. With `answer` instead of `drive` it is the cheapest possible server, to find the generator's own limit.

mod answer;
mod args;
mod drive;
mod latency;
mod template;

use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = args::parse(std::env::args().skip(1)).and_then(|command| match command {
        args::Command::Drive(plan) => {
            drive::run(&plan).map_err(|error| format!("{}:{}: {error}", plan.host, plan.port))
        }
        args::Command::Answer { port } => answer::run(port).map_err(|error| format!("port {port}: {error}")),
    });
    match outcome {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("ordergate-loadgen: {message}");
            ExitCode::from(2)
        }
    }
}
