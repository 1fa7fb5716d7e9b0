-- migrate:up
-- It returns its report now.
drop function if exists app.run_reconciliation(timestamptz);

-- migrate:down
drop function if exists app.run_reconciliation(timestamptz);
