//! What only this platform has; the contract suite tests what all have.
