create or replace trigger _900_audit after update of role on auth.login
  for each row execute function app.audit_change('id');

-- Who holds a token can take the account over: who had it issued is on record.
create or replace trigger _900_audit after insert on auth.password_token
  for each row execute function app.audit_change('login_id');
