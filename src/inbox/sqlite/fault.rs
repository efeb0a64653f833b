//! What can go wrong inside, and which of it spoils the connection.

use rusqlite::ErrorCode;

use crate::inbox::Error;

/// A failure inside the store, before it is told to a caller.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite's.
    Sql(rusqlite::Error),
    /// Already in the caller's words.
    Told(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Told(error)
    }
}

impl Fault {
    /// A stored row that cannot be read. `what` names the column, never the content.
    pub(super) fn corrupt(what: &str) -> Self {
        Self::Told(Error::Corrupt(what.to_owned()))
    }

    /// After this nothing on the same connection can be trusted: a failed fsync may have dropped pages
    /// that a second fsync would then report as written.
    pub(super) fn spoils_connection(&self) -> bool {
        let Self::Sql(error) = self else { return false };
        matches!(
            error.sqlite_error_code(),
            Some(
                ErrorCode::SystemIoFailure
                    | ErrorCode::DiskFull
                    | ErrorCode::DatabaseCorrupt
                    | ErrorCode::NotADatabase
                    | ErrorCode::ReadOnly
                    | ErrorCode::CannotOpen
                    | ErrorCode::OutOfMemory
                    | ErrorCode::FileLockingProtocolFailed
            )
        )
    }

    /// For the caller.
    pub(super) fn into_error(self) -> Error {
        let error = match self {
            Self::Told(error) => return error,
            Self::Sql(error) => error,
        };
        match &error {
            rusqlite::Error::QueryReturnedNoRows => Error::NotFound,
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => Error::Corrupt(error.to_string()),
            _ => match error.sqlite_error_code() {
                Some(ErrorCode::OperationInterrupted) => Error::Unavailable("the query took too long".to_owned()),
                _ => Error::Unavailable(error.to_string()),
            },
        }
    }
}
