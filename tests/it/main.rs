//! All integration tests in one binary: linking is the slow part.

#![expect(
    clippy::unwrap_used,
    reason = "what fails here fails the test, and the line says which"
)]

mod http;
mod support;
