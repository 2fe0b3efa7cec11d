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
  const { token_needed, authorized } = await getSession();
  byId("sign-out").hidden = !token_needed;
  if (!token_needed || authorized) return;
  document.body.classList.add("is-locked");
  await askForToken();
  document.body.classList.remove("is-locked");
}

/** @returns {Promise<void>} */
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
      try {
        await beginSession(field.value.trim());
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
      resolve();
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
