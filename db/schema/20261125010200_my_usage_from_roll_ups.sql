-- migrate:up
-- my_usage reads the roll-ups, which have archived months.
drop function if exists app.archived_months(timestamptz, timestamptz);

-- migrate:down
select;
