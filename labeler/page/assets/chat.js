// The chat's script: what Gradio does not do. Loaded before Gradio's own, as plain ES modules.
//
//   english   the page speaks one language          outbox    votes on their way, kept until acknowledged
//   settings  what the server said at load          pulse     is the server there, and is it the same one
//   view      what the server showed last           turns     gestures that travel through Gradio
//   messages  what is added to every message        composer  the message box, drafts, Send and Stop
//   panels    "Why?", "Was this answer better?"     sidebar   progress, conversations, who I am
//   status    Saving, Saved, Not saved              keys      one key a gesture, and the help dialog
//   mend      Gradio's accessibility faults         focus     is never lost to a redraw
//   edits     which message is being rewritten

import "./english.js";
import { startRedraws } from "./dom.js";
import { startComposer } from "./composer.js";
import { startConsent } from "./consent.js";
import { startEdits } from "./edits.js";
import { startFocus } from "./focus.js";
import { startChatKeys } from "./chat-keys.js";
import { startMending } from "./mend.js";
import { startMessages } from "./messages.js";
import { startOutbox } from "./outbox.js";
import { startPulse } from "./pulse.js";
import { startScreen } from "./screen.js";
import { startSidebar } from "./sidebar.js";
import { startStatus } from "./status.js";
import { startTurns } from "./turns.js";

startTurns();
startOutbox();
startMessages();
startEdits();
startComposer();
startConsent();
startScreen();
startSidebar();
startStatus();
startChatKeys();
startFocus();
startMending();
startPulse();
startRedraws();
