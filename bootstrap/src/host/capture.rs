//! What a command prints, kept within bounds: its lines as they come, the beginning of its stdout,
//! the end of its stderr. A host that prints without end must cost no memory here.

use super::{Output, STDERR_LIMIT_BYTES, STDOUT_LIMIT_BYTES};

/// A longer line is handed over cut off at this length.
const LINE_LIMIT_BYTES: usize = 8 << 10;

/// Takes in the output of one command.
pub(crate) struct Capture<'a> {
    on_line: &'a mut (dyn FnMut(&str) + Send),
    line: Vec<u8>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl<'a> Capture<'a> {
    /// Nothing yet.
    pub(crate) fn new(on_line: &'a mut (dyn FnMut(&str) + Send)) -> Self {
        Self { on_line, line: Vec::new(), stdout: Vec::new(), stderr: Vec::new() }
    }

    /// Takes in stdout.
    pub(crate) fn stdout(&mut self, bytes: &[u8]) {
        let room = STDOUT_LIMIT_BYTES.saturating_sub(self.stdout.len()).min(bytes.len());
        self.stdout.extend_from_slice(bytes.get(..room).unwrap_or_default());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ended) = piece.strip_suffix(b"\n").map_or((piece, false), |text| (text, true));
            let room = LINE_LIMIT_BYTES.saturating_sub(self.line.len()).min(text.len());
            self.line.extend_from_slice(text.get(..room).unwrap_or_default());
            if ended {
                self.hand_over();
            }
        }
    }

    /// Takes in stderr.
    pub(crate) fn stderr(&mut self, bytes: &[u8]) {
        self.stderr.extend_from_slice(bytes);
        // Twice the limit, so that bytes are moved seldom.
        if self.stderr.len() > 2 * STDERR_LIMIT_BYTES {
            self.stderr.drain(..self.stderr.len() - STDERR_LIMIT_BYTES);
        }
    }

    /// The end; a last line without a newline is a line.
    pub(crate) fn finish(mut self, code: Option<u32>) -> Output {
        if !self.line.is_empty() {
            self.hand_over();
        }
        let mut stdout = String::from_utf8_lossy(&self.stdout).into_owned();
        stdout.truncate(stdout.floor_char_boundary(STDOUT_LIMIT_BYTES));
        let mut stderr = String::from_utf8_lossy(&self.stderr).into_owned();
        stderr.drain(..stderr.ceil_char_boundary(stderr.len().saturating_sub(STDERR_LIMIT_BYTES)));
        Output { code, stdout, stderr }
    }

    fn hand_over(&mut self) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        (self.on_line)(&String::from_utf8_lossy(line));
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(chunks: &[&[u8]]) -> (Vec<String>, Output) {
        let mut lines = Vec::new();
        let mut on_line = |line: &str| lines.push(line.to_owned());
        let mut capture = Capture::new(&mut on_line);
        for chunk in chunks {
            capture.stdout(chunk);
            capture.stderr(chunk);
        }
        let output = capture.finish(Some(0));
        (lines, output)
    }

    #[test]
    fn lines_are_whole_however_they_arrive() {
        let (lines, output) = capture(&[b"on", b"e\ntwo\r\n\nthr", b"ee"]);
        assert_eq!(lines, ["one", "two", "", "three"]);
        assert_eq!(output.stdout, "one\ntwo\r\n\nthree");
    }

    #[test]
    fn output_without_end_is_bounded_and_stderr_keeps_its_end() {
        let chunk = vec![b'x'; 1 << 16];
        let mut chunks = vec![chunk.as_slice(); 40];
        chunks.push(b"\nthe end");
        let (lines, output) = capture(&chunks);
        assert_eq!(output.stdout.len(), 1 << 20);
        assert_eq!(output.stderr.len(), 16 << 10);
        assert!(output.stderr.ends_with("x\nthe end"));
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [8 << 10, 7]);
    }

    #[test]
    fn invalid_utf_8_is_replaced_and_stays_within_the_limits() {
        let chunk = vec![0xff; 1 << 20];
        let (_, output) = capture(&[&chunk]);
        assert!(output.stdout.len() <= 1 << 20 && output.stdout.starts_with('\u{fffd}'));
        assert!(output.stderr.len() <= 16 << 10 && output.stderr.ends_with('\u{fffd}'));
    }
}
