//! The transcript of each session in the database: what was typed, what was seen, and when. In a table of its own,
//! since it grows with each key and is read by nobody but an auditor.

use std::fmt::Write as _;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::live::{Live, Side};
use super::{Session, SessionId};
use crate::endpoint::Endpoint;
use crate::endpoint::database::DatabaseError;
use crate::endpoint::error::ApiError;

/// Bytes of one session that are kept; what comes later is not.
const LARGEST: i64 = 8 << 20;

/// Something that was typed or shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it began.
    pub at: Timestamp,
    /// The client's are keys, the agent's are output.
    pub side: Side,
    /// The bytes.
    pub content: Vec<u8>,
}

/// Makes the table if it is not there.
pub fn prepare(database: &Connection) -> Result<(), DatabaseError> {
    database.execute_batch(
        "CREATE TABLE IF NOT EXISTS transcripts (
             number INTEGER PRIMARY KEY, session TEXT NOT NULL, at TEXT NOT NULL, typed INTEGER NOT NULL,
             content BLOB NOT NULL, cut_off INTEGER NOT NULL DEFAULT 0) STRICT;
         CREATE INDEX IF NOT EXISTS transcripts_of_session ON transcripts (session, number);",
    )?;
    Ok(())
}

/// Writes entries down, up to the limit of a session.
pub fn append(database: &mut Connection, id: &SessionId, entries: &[Entry]) -> Result<(), DatabaseError> {
    let transaction = database.transaction()?;
    let (mut size, mut cut_off): (i64, bool) = transaction.query_row(
        "SELECT coalesce(sum(length(content)), 0), coalesce(max(cut_off), 0) FROM transcripts WHERE session = ?1",
        [id.as_str()],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    for entry in entries {
        if cut_off {
            break;
        }
        let room = usize::try_from(LARGEST - size).unwrap_or_default();
        let kept = entry.content.get(..room).unwrap_or(&entry.content);
        cut_off = kept.len() < entry.content.len();
        size += i64::try_from(kept.len()).unwrap_or(LARGEST);
        transaction
            .prepare_cached(
                "INSERT INTO transcripts (session, at, typed, content, cut_off) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![id.as_str(), entry.at.to_string(), entry.side == Side::Client, kept, cut_off])?;
    }
    transaction.commit()?;
    Ok(())
}

/// Forgets the transcript of a session.
pub fn forget(database: &Connection, id: &SessionId) -> Result<(), DatabaseError> {
    database.prepare_cached("DELETE FROM transcripts WHERE session = ?1")?.execute([id.as_str()])?;
    Ok(())
}

/// The transcript as text, one line per entry: the time, `>` for what was typed or `<` for what was seen, and the text with
/// control characters escaped, so that reading it does nothing to a terminal. `None` for a session that there never was.
pub fn transcript(database: &Connection, id: &SessionId) -> Result<Option<String>, DatabaseError> {
    let known = database
        .query_row("SELECT body FROM sessions WHERE id = ?1", [id.as_str()], |row| row.get::<_, String>(0))
        .optional()?;
    let Some(session) = known.and_then(|body| serde_json::from_str::<Session>(&body).ok()) else {
        return Ok(None);
    };
    let mut text = format!("session {id} of {} on {}\n", session.owner, session.target);
    let mut statement = database.prepare_cached(
        "SELECT at, typed, content, cut_off FROM transcripts WHERE session = ?1 ORDER BY number",
    )?;
    let mut rows = statement.query([id.as_str()])?;
    while let Some(row) = rows.next()? {
        let (at, typed, content, cut_off): (String, bool, Vec<u8>, bool) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let direction = if typed { '>' } else { '<' };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{at} {direction} {}", escaped(&content));
        if cut_off {
            let _ = writeln!(text, "{at} - cut off: {LARGEST} bytes are kept of a session");
        }
    }
    Ok(Some(text))
}

fn escaped(content: &[u8]) -> String {
    let mut text = String::with_capacity(content.len());
    for letter in String::from_utf8_lossy(content).chars() {
        if letter.is_control() || letter == '\\' {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
    }
    text
}

/// Brings what a session's recorder holds into the database.
pub fn write_down(endpoint: &Endpoint, id: &SessionId, live: &Live) -> Result<(), ApiError> {
    let entries = live.recorder().take();
    if entries.is_empty() {
        return Ok(());
    }
    let kept = endpoint.change(|state| {
        append(&mut state.database, id, &entries)
            .map_err(|error| ApiError::internal(format!("the transcript of {id} cannot be kept: {error}")))
    });
    kept.inspect_err(|_| live.recorder().give_back(entries))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use rusqlite::Connection;

    use super::{Entry, append, forget, prepare, transcript};
    use crate::endpoint::sessions::live::Side;
    use crate::endpoint::sessions::{Session, SessionId, Status};
    use crate::endpoint::table::{Kept as _, Table};
    use crate::ids::ManagedNodeId;

    fn database(id: &SessionId) -> Connection {
        let mut database = Connection::open_in_memory().unwrap();
        prepare(&database).unwrap();
        let mut sessions: Table<SessionId, Session> = Table::load("sessions", &database).unwrap();
        let session = Session {
            target: ManagedNodeId::random(),
            owner: "arn:aws:iam::123456789012:user/ana".to_owned(),
            document: "SSM-SessionManagerRunShell".to_owned(),
            reason: None,
            status: Status::Connected,
            started: Timestamp::now(),
            ended: None,
            details: None,
            idle_minutes: 20,
            max_minutes: None,
        };
        sessions.insert(id.clone(), session);
        let transaction = database.transaction().unwrap();
        sessions.write(&transaction).unwrap();
        transaction.commit().unwrap();
        database
    }

    fn entry(side: Side, content: &[u8]) -> Entry {
        Entry { at: "2026-03-04T05:06:07Z".parse().unwrap(), side, content: content.to_vec() }
    }

    #[test]
    fn keys_and_output_are_read_back_in_order_and_harmless() {
        let id = SessionId::random("ana");
        let mut database = database(&id);
        append(
            &mut database,
            &id,
            &[entry(Side::Client, b"ls\r"), entry(Side::Agent, b"\x1b[1mfile\x07 \xc3\xa9\xff")],
        )
        .unwrap();
        append(&mut database, &id, &[entry(Side::Client, b"exit")]).unwrap();
        let text = transcript(&database, &id).unwrap().unwrap();
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "2026-03-04T05:06:07Z > ls\\r",
                "2026-03-04T05:06:07Z < \\u{1b}[1mfile\\u{7} é\u{fffd}",
                "2026-03-04T05:06:07Z > exit"
            ]
        );
        assert_eq!(transcript(&database, &SessionId::random("ana")).unwrap(), None);
        forget(&database, &id).unwrap();
        assert_eq!(transcript(&database, &id).unwrap().unwrap().lines().count(), 1);
    }

    #[test]
    fn a_transcript_beyond_its_limit_says_that_it_is_cut_off() {
        let id = SessionId::random("ana");
        let mut database = database(&id);
        for _ in 0..5 {
            append(&mut database, &id, &[entry(Side::Agent, &vec![b'x'; 3 << 20])]).unwrap();
        }
        let kept: i64 =
            database.query_row("SELECT sum(length(content)) FROM transcripts", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, 8 << 20);
        let text = transcript(&database, &id).unwrap().unwrap();
        assert_eq!(text.lines().filter(|line| line.contains("cut off")).count(), 1);
    }
}
