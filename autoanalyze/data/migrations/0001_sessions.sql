-- Sessions and what was said in them. All times are naive UTC: fetching a
-- TIMESTAMPTZ would need pytz, and a run must not depend on the machine's zone.
CREATE TABLE sessions (
    bot_id VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    user_id VARCHAR NOT NULL,
    start_time TIMESTAMP,
    end_time TIMESTAMP,
    containment_type VARCHAR NOT NULL
        CHECK (containment_type IN ('agent', 'selfService', 'dropOff', 'unknown')),
    message_count INTEGER NOT NULL,
    token_count INTEGER NOT NULL,
    token_encoding VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    PRIMARY KEY (bot_id, session_id)
);

CREATE TABLE messages (
    bot_id VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    role VARCHAR NOT NULL CHECK (role IN ('user', 'bot')),
    text VARCHAR NOT NULL,
    timestamp TIMESTAMP
);

-- Transcripts are read a few at a time; without this, each read would scan every message.
CREATE INDEX messages_of_session ON messages (session_id);
