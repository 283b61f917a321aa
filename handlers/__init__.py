"""Lambda code: the functions of the workflow, the backlog and deletion, and the pure functions they consist of."""
