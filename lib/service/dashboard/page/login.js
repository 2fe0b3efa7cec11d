// @ts-check
/** Asks for the token where the service wants one. */

import { beginSession, endSession, getSession } from "./api.js";
import { byId, fill } from "./dom.js";
import { notifyFailure } from "./notice.js";

/**
 * Waits until the service lets this browser in.
 *
 * @returns {Promise<void>}
 */
export async function letIn() {
  let session = await getSession();
  byId("sign-out").hidden = !session.token_needed;
  if (!session.authorized) {
    document.body.classList.add("is-locked");
    session = await askForToken();
    document.body.classList.remove("is-locked");
  }
  document.body.classList.toggle("is-read-only", !session.may_change);
}

/** @returns {Promise<import("./types.ts").Session>} */
function askForToken() {
  const dialog = byId("login", HTMLDialogElement);
  const form = byId("login-form", HTMLFormElement);
  const field = byId("token", HTMLInputElement);
  const mistake = byId("login-mistake");
  if (!dialog.open) dialog.showModal();
  field.focus();
  return new Promise((resolve) => {
    const send = async (/** @type {Event} */ event) => {
      event.preventDefault();
      const button = byId("login-submit", HTMLButtonElement);
      button.disabled = true;
      fill(mistake, "");
      field.removeAttribute("aria-invalid");
      let session;
      try {
        session = await beginSession(field.value.trim());
      } catch (error) {
        fill(mistake, error instanceof Error ? error.message : String(error));
        field.setAttribute("aria-invalid", "true");
        field.select();
        return;
      } finally {
        button.disabled = false;
      }
      form.removeEventListener("submit", send);
      field.value = "";
      dialog.close();
      resolve(session);
    };
    form.addEventListener("submit", send);
    // There is nothing behind it that one could see.
    dialog.oncancel = (event) => event.preventDefault();
  });
}

export function setUpSignOut() {
  byId("sign-out").addEventListener("click", async () => {
    try {
      await endSession();
      location.reload();
    } catch (error) {
      notifyFailure(error);
    }
  });
}
