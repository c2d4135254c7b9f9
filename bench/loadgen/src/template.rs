//! One request, written once; each use only overwrites the digits of its number.

use crate::args::Plan;

const WIDTH: usize = 12;
const BLANK: &str = "000000000000";

/// Bytes of a request with the places where its number goes.
pub struct Template {
    bytes: Vec<u8>,
    places: Vec<usize>,
}

impl Template {
    /// Writes the request of `plan` with the number left blank.
    pub fn new(plan: &Plan) -> Template {
        let body = plan.body.replace("{n}", BLANK);
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: {}:{}\r\n",
            plan.method, plan.path, plan.host, plan.port
        );
        for header in &plan.headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        if !body.is_empty() {
            text.push_str(&format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            ));
        }
        text.push_str("\r\n");
        // Offsets are found before the blanks go in, so that a literal run of zeros is never taken for a place.
        let mut places = Vec::new();
        let mut bytes = Vec::new();
        for part in [text.as_str(), plan.body.as_str()] {
            let mut pieces = part.split("{n}");
            bytes.extend_from_slice(pieces.next().unwrap_or("").as_bytes());
            for piece in pieces {
                places.push(bytes.len());
                bytes.extend_from_slice(BLANK.as_bytes());
                bytes.extend_from_slice(piece.as_bytes());
            }
        }
        Template { bytes, places }
    }

    /// The request with this number.
    pub fn fill(&mut self, number: u64) -> &[u8] {
        let mut digits = [b'0'; WIDTH];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        for &place in &self.places {
            self.bytes[place..place + WIDTH].copy_from_slice(&digits);
        }
        &self.bytes
    }
}
