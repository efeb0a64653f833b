//! Secrets and keys that were entered wrongly, on every platform that has them.

use super::*;
