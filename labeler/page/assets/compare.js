// The script of the page "Compare". Modules that are not listed here are listed in chat.js.
//
//   choices   the two answers: what they are called, the choice between them, and why

import "./english.js";
import { startChoices } from "./choices.js";
import { startComposer } from "./composer.js";
import { startConsent } from "./consent.js";
import { startRedraws } from "./dom.js";
import { startFocus } from "./focus.js";
import { startMending } from "./mend.js";
import { startOutbox } from "./outbox.js";
import { startPulse } from "./pulse.js";
import { startScreen } from "./screen.js";
import { startSidebar } from "./sidebar.js";
import { startStatus } from "./status.js";
import { startTurns } from "./turns.js";

startTurns();
startOutbox();
startChoices();
startComposer();
startConsent();
startScreen();
startSidebar();
startStatus();
startFocus();
startMending();
startPulse();
startRedraws();
