-- A human of the company is not the bot: messages may be an agent's. Older stores called both "bot",
-- which nothing in them can tell apart; the same file imported again says who was who.
CREATE TABLE messages_of_three (
    bot_id VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    role VARCHAR NOT NULL CHECK (role IN ('user', 'bot', 'agent')),
    text VARCHAR NOT NULL,
    timestamp TIMESTAMP
);
INSERT INTO messages_of_three SELECT * FROM messages;
DROP TABLE messages;
ALTER TABLE messages_of_three RENAME TO messages;
CREATE INDEX messages_of_session ON messages (session_id);

-- Whether a person let a session in although some of its messages could not be read, and whether its
-- file had no ids, so that this one was made from file and line and is no other file's.
ALTER TABLE sessions ADD COLUMN partial BOOLEAN DEFAULT false;
ALTER TABLE sessions ADD COLUMN made_id BOOLEAN DEFAULT false;
