<?php

declare(strict_types=1);

namespace Platform;

/** Who the caller is. */
final class Account extends Entity
{
    public int $id;
    public string $userName;
    public int $companyId;
    public string $clientName;
    public string $dateCreated;
}
