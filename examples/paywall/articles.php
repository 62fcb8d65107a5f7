<?php

// The pages of the site by their resource keys. `settings` are read once, when the page becomes a
// resource by itself, where the property makes resources of pages.

return [
    'harbour-report' => [
        'title' => 'What the harbour report says',
        'teaser' => 'The report is out, and it has something for everybody.',
        'text' => 'The full text of the harbour report: there will be a second crane.',
        'settings' => '<Name>Harbour report</Name><PricingModel>FixedPrice</PricingModel><Price>0.35</Price>',
    ],
    'tide-tables' => [
        'title' => 'Tide tables',
        'teaser' => 'When to sail this spring.',
        'text' => 'The full tide tables: high water is at noon.',
        'settings' => '<Name>Tide tables</Name><PricingModel>Free</PricingModel>',
    ],
    'crane-story' => [
        'title' => 'The story of the crane',
        'teaser' => 'It has stood there for a hundred years.',
        'text' => 'The full story of the crane: it was built in a winter.',
        'settings' => '<PricingModel>FixedPrice</PricingModel><Price>0.20</Price><ExpirationPeriodUnit>Weeks</ExpirationPeriodUnit><ExpirationPeriodValue>1</ExpirationPeriodValue>',
    ],
];
