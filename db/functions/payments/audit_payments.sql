create or replace trigger _900_audit after insert or delete or update on data.payment_channel
  for each row execute function app.audit_change('name');
create or replace trigger _900_audit after insert or delete or update on data.redemption_batch
  for each row execute function app.audit_change('id');
create or replace trigger _900_audit after insert or delete or update on data.auto_top_up
  for each row execute function app.audit_change('user_id');
