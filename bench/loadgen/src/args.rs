//! The command line: `--name value` pairs, nothing else.

use std::time::Duration;

/// What to do.
pub enum Command {
    /// Send requests.
    Drive(Plan),
    /// Answer every request at once with an empty 200.
    Answer {
        /// Port on 127.0.0.1.
        port: u16,
    },
}

/// One run of the generator.
pub struct Plan {
    /// Loopback address of the server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Method of every request.
    pub method: String,
    /// Path of every request.
    pub path: String,
    /// Extra header lines; `{n}` becomes the request's number.
    pub headers: Vec<String>,
    /// Body; `{n}` becomes the request's number. Empty: no body.
    pub body: String,
    /// Keep-alive connections.
    pub connections: usize,
    /// Time before counting starts.
    pub warmup: Duration,
    /// Time that is counted.
    pub measure: Duration,
    /// The status that counts as success.
    pub expect: u16,
    /// The first request's number.
    pub first: u64,
}

/// Reads `drive --port P …` or `answer --port P`.
pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Command, String> {
    let verb = words.next().ok_or("say `drive` or `answer`")?;
    let mut plan = Plan {
        host: "127.0.0.1".into(),
        port: 0,
        method: "GET".into(),
        path: "/".into(),
        headers: Vec::new(),
        body: String::new(),
        connections: 100,
        warmup: Duration::from_secs(1),
        measure: Duration::from_secs(5),
        expect: 200,
        first: 1,
    };
    while let Some(name) = words.next() {
        let value = words.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--host" => plan.host = value,
            "--port" => plan.port = number(&name, &value)?,
            "--method" => plan.method = value,
            "--path" => plan.path = value,
            "--header" => plan.headers.push(value),
            "--body" => plan.body = value,
            "--connections" => plan.connections = number(&name, &value)?,
            "--warmup-ms" => plan.warmup = Duration::from_millis(number(&name, &value)?),
            "--measure-ms" => plan.measure = Duration::from_millis(number(&name, &value)?),
            "--expect" => plan.expect = number(&name, &value)?,
            "--first" => plan.first = number(&name, &value)?,
            _ => return Err(format!("unknown option {name}")),
        }
    }
    if plan.port == 0 || plan.connections == 0 || plan.connections > 10_000 {
        return Err("--port must be set and --connections be 1 to 10000".into());
    }
    match verb.as_str() {
        "drive" => Ok(Command::Drive(plan)),
        "answer" => Ok(Command::Answer { port: plan.port }),
        other => Err(format!("unknown verb {other}: say `drive` or `answer`")),
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|_| format!("{name}: not a number in range: {value}"))
}
