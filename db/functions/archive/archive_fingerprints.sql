create or replace function app.archive_fingerprints(month date, out entries numeric, out sums numeric)
language sql stable security definer
set search_path = ''
as $$
  select
    (select coalesce(sum(('x' || left(md5(concat_ws(chr(31), e.ledger_entry_id, e.payer_id, e.calls, e.charge)), 15))::bit(60)::bigint), 0)
      from data.usage_archive_entry e where e.month = archive_fingerprints.month),
    (select coalesce(sum(('x' || left(md5(concat_ws(chr(31), s.tenant_id, s.user_id, s.payer_id, s.model, s.currency, s.calls, s.errors, s.input_tokens,
        s.output_tokens, s.charge)), 15))::bit(60)::bigint), 0)
      from data.usage_archive_sum s where s.month = archive_fingerprints.month);
$$;
revoke all on function app.archive_fingerprints(date) from public;
comment on function app.archive_fingerprints(date) is
$$What is kept of an archived month, by ledger entry and by user and model, as sums of hashes as in app.usage_fingerprint: to be compared with its file.

month: its first day. entries: of ledger_entry_id, payer_id, calls, charge. sums: of tenant_id, user_id, payer_id, model, currency, calls,
errors, input_tokens, output_tokens, charge.$$;
