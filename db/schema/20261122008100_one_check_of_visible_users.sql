-- migrate:up
-- app.require_visible_user took its place.
drop function if exists app.require_statement_account(uuid);

-- migrate:down
select;
