//! A table: its rows in memory, where calls read and change them, and a copy in the database, which takes over the
//! changed rows when a call is done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use rusqlite::{Connection, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::database::DatabaseError;

/// Rows by key. In the database a row is its key and itself as JSON, so that `sqlite3` and `json_extract` read it.
#[derive(Debug)]
pub struct Table<K, V> {
    name: &'static str,
    rows: BTreeMap<K, V>,
    changed: BTreeSet<K>,
}

impl<K, V> Table<K, V>
where
    K: Ord + Clone + Display + TryFrom<String>,
    V: Serialize + DeserializeOwned,
{
    /// The table as the database has it; made there if it is new.
    pub fn load(name: &'static str, database: &Connection) -> Result<Self, DatabaseError> {
        database.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {name} (id TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT"
        ))?;
        let mut statement = database.prepare(&format!("SELECT id, body FROM {name}"))?;
        let mut found = statement.query([])?;
        let mut rows = BTreeMap::new();
        while let Some(row) = found.next()? {
            let (id, body): (String, String) = (row.get(0)?, row.get(1)?);
            let broken = |reason: String| DatabaseError::Row { table: name, id: id.clone(), reason };
            let key = K::try_from(id.clone()).map_err(|_| broken("its id is none".to_owned()))?;
            rows.insert(key, serde_json::from_str(&body).map_err(|error| broken(error.to_string()))?);
        }
        Ok(Self { name, rows, changed: BTreeSet::new() })
    }

    /// The row of this key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key)
    }

    /// The row of this key, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let row = self.rows.get_mut(key)?;
        self.changed.insert(key.clone());
        Some(row)
    }

    /// All rows, by key.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.rows.iter()
    }

    /// The rows from this key on, by key.
    pub fn starting_at(&self, key: K) -> impl Iterator<Item = (&K, &V)> {
        self.rows.range(key..)
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row, or replaces the one of this key.
    pub fn insert(&mut self, key: K, row: V) {
        self.changed.insert(key.clone());
        self.rows.insert(key, row);
    }

    /// Removes a row.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let row = self.rows.remove(key)?;
        self.changed.insert(key.clone());
        Some(row)
    }

    /// Removes all rows but those that `keep` wants.
    pub fn retain(&mut self, keep: impl Fn(&K, &V) -> bool) {
        let gone: Vec<K> =
            self.rows.iter().filter(|(key, row)| !keep(key, row)).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.remove(&key);
        }
    }
}

/// What the database keeps, whatever its rows are.
pub trait Kept {
    /// Whether something is to be written.
    fn is_changed(&self) -> bool;
    /// Writes what changed; it counts as unchanged only after [`Self::settle`].
    fn write(&self, transaction: &Transaction<'_>) -> Result<(), DatabaseError>;
    /// Notes that the database has all changes.
    fn settle(&mut self);
}

impl<K, V> Kept for Table<K, V>
where
    K: Ord + Clone + Display + TryFrom<String>,
    V: Serialize + DeserializeOwned,
{
    fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    fn write(&self, transaction: &Transaction<'_>) -> Result<(), DatabaseError> {
        for key in &self.changed {
            match self.rows.get(key) {
                Some(row) => {
                    let body = serde_json::to_string(row).map_err(|error| DatabaseError::Row {
                        table: self.name,
                        id: key.to_string(),
                        reason: error.to_string(),
                    })?;
                    transaction
                        .prepare_cached(&format!(
                            "INSERT OR REPLACE INTO {} (id, body) VALUES (?1, ?2)",
                            self.name
                        ))?
                        .execute(params![key.to_string(), body])?;
                }
                None => {
                    transaction
                        .prepare_cached(&format!("DELETE FROM {} WHERE id = ?1", self.name))?
                        .execute([key.to_string()])?;
                }
            }
        }
        Ok(())
    }

    fn settle(&mut self) {
        self.changed.clear();
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::{Kept as _, Table};

    #[test]
    fn rows_outlive_the_table_that_wrote_them() {
        let mut database = Connection::open_in_memory().unwrap();
        let mut table: Table<String, u32> = Table::load("things", &database).unwrap();
        for (key, row) in [("a", 1), ("b", 2), ("c", 3)] {
            table.insert(key.to_owned(), row);
        }
        *table.get_mut(&"b".to_owned()).unwrap() = 20;
        table.retain(|key, _| key != "c");
        let transaction = database.transaction().unwrap();
        table.write(&transaction).unwrap();
        transaction.commit().unwrap();

        let again: Table<String, u32> = Table::load("things", &database).unwrap();
        assert_eq!(
            again.iter().map(|(key, row)| (key.as_str(), *row)).collect::<Vec<_>>(),
            [("a", 1), ("b", 20)]
        );
    }

    #[test]
    fn what_was_not_written_counts_as_changed_until_it_settles() {
        let database = Connection::open_in_memory().unwrap();
        let mut table: Table<String, u32> = Table::load("things", &database).unwrap();
        assert!(!table.is_changed());
        table.insert("a".to_owned(), 1);
        assert!(table.is_changed());
        table.settle();
        assert!(!table.is_changed());
    }

    #[test]
    fn a_row_that_is_not_readable_is_named() {
        let database = Connection::open_in_memory().unwrap();
        drop(Table::<String, u32>::load("things", &database).unwrap());
        database.execute("INSERT INTO things VALUES ('a', '\"text\"')", []).unwrap();
        let error = Table::<String, u32>::load("things", &database).unwrap_err().to_string();
        assert!(error.contains("`a`") && error.contains("things"), "{error}");
    }
}
