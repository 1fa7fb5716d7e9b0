create or replace function app.note_usage_file(month date, file text, sha256 bytea, calls bigint, fingerprint numeric) returns void
language plpgsql volatile security definer
set search_path = ''
as $$
declare
  v_archive data.usage_archive;
  v_found record;
begin
  select a.* into v_archive from data.usage_archive a where a.month = note_usage_file.month for update;
  if not found or v_archive.status = 'archived' then
    perform app.raise_error('month_not_archivable', 'The month must be frozen and not archived yet.');
  end if;
  select f.* into strict v_found from app.usage_fingerprint(note_usage_file.month) f;
  if (v_found.calls, v_found.fingerprint) is distinct from (note_usage_file.calls, note_usage_file.fingerprint) then
    perform app.raise_error('archive_mismatch', format('usage_log has %s calls in the month, the file %s.', v_found.calls, note_usage_file.calls));
  end if;
  update data.usage_archive a
  set status = 'written', written_at = app.now(), file = note_usage_file.file, sha256 = note_usage_file.sha256,
    calls = note_usage_file.calls, fingerprint = note_usage_file.fingerprint
  where a.month = note_usage_file.month;
end
$$;
revoke all on function app.note_usage_file(date, text, bytea, bigint, numeric) from public;
comment on function app.note_usage_file(date, text, bytea, bigint, numeric) is
$$Notes the file that a frozen month was written to, if what was read back from it is what usage_log has.

file: its name. sha256: its checksum. calls, fingerprint: as app.usage_fingerprint, worked out from the file.
Errors: month_not_archivable, archive_mismatch.$$;
