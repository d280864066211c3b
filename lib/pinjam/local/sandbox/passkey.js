"use strict";

// The calls that an app makes for passkeys, in a browser. `result` shows what came last: its text for people,
// `data-outcome` and `data-turn` for programs.

const result = document.getElementById("result");
let idToken = null;

class Refused extends Error {
  constructor(problem) {
    super(problem.code);
    this.problem = problem;
  }
}

function show(outcome, body) {
  result.textContent = `${outcome}\n${JSON.stringify(body, null, 2)}`;
  result.dataset.outcome = outcome;
  result.dataset.turn = String(Number(result.dataset.turn || 0) + 1);
}

async function call(method, path, body) {
  const headers = { "Accept-Language": "en" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (idToken) headers["Authorization"] = `Bearer ${idToken}`;
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  const told = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Refused(told);
  return told;
}

async function list() {
  const { credentials } = await call("GET", "/api/auth/biometric/credentials");
  const rows = credentials.map((one) => {
    const row = document.createElement("li");
    const name = document.createElement("span");
    const remove = document.createElement("button");
    name.textContent = one.blocked_at ? `${one.device_name} (blocked)` : one.device_name;
    remove.type = "button";
    remove.textContent = "Remove";
    remove.addEventListener("click", () => act(remove, "removed", async () => {
      await call("DELETE", `/api/auth/biometric/credentials/${one.id}`);
      await list();
      return { id: one.id };
    }));
    row.append(name, remove);
    return row;
  });
  document.getElementById("passkeys").replaceChildren(...rows);
}

async function byPassword(form) {
  const authenticated = await call("POST", "/api/auth/login", {
    identifier: form.get("identifier"),
    password: form.get("password"),
  });
  idToken = authenticated.tokens.id_token;
  await list();
  return { user: authenticated.user.id };
}

async function enroll(form) {
  const begun = await call("POST", "/api/auth/biometric/enroll/options");
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(begun.public_key);
  const credential = await navigator.credentials.create({ publicKey });
  const enrolled = await call("POST", "/api/auth/biometric/enroll", {
    challenge_id: begun.challenge_id,
    credential: credential.toJSON(),
    device_name: form.get("device_name"),
  });
  await list();
  return enrolled;
}

async function byPasskey(form) {
  const identifier = form.get("identifier") || null;
  idToken = null;
  const begun = await call("POST", "/api/auth/biometric/login/options", { identifier });
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(begun.public_key);
  const credential = await navigator.credentials.get({ publicKey });
  const authenticated = await call("POST", "/api/auth/biometric/login", {
    challenge_id: begun.challenge_id,
    credential: credential.toJSON(),
  });
  idToken = authenticated.tokens.id_token;
  await list();
  return { user: authenticated.user.id };
}

async function act(button, outcome, work) {
  button.disabled = true;
  try {
    show(outcome, await work());
  } catch (error) {
    // A refusal of ours has a code; one of the browser or the authenticator has a name.
    if (error instanceof Refused) show(error.problem.code || "refused", error.problem);
    else show(error.name, { message: error.message });
  } finally {
    button.disabled = false;
  }
}

for (const [id, outcome, work] of [
  ["by-password", "logged-in-by-password", byPassword],
  ["enroll", "enrolled", enroll],
  ["by-passkey", "logged-in-by-passkey", byPasskey],
]) {
  const form = document.getElementById(id);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(form.querySelector("button"), outcome, () => work(new FormData(form)));
  });
}

if (location.hostname !== "localhost") {
  const here = document.createElement("a");
  here.href = `http://localhost:${location.port}${location.pathname}`;
  here.textContent = here.href;
  document.getElementById("where").replaceChildren("Browsers allow passkeys here only under the name ", here, ".");
}
